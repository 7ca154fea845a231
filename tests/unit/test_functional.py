"""The functions every training run needs, in one place."""

from __future__ import annotations

import subprocess
import sys

from llmcourse import functional
from llmcourse.data import batches
from llmcourse.train import losses, optim, schedule


def test_they_are_those_of_the_rooms():
    homes = {
        "AdamW": optim, "Muon": optim, "clip_grad_norm": optim, "cross_entropy": losses,
        "get_batch": batches, "warmup_cosine": schedule,
    }  # fmt: skip
    assert set(functional.__all__) == set(homes)
    for name, home in homes.items():
        assert getattr(functional, name) is getattr(home, name)
        assert getattr(functional, name).__doc__


def test_the_package_itself_does_not_bring_torch():
    code = "import llmcourse, llmcourse.cli, llmcourse.train, sys; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
