"""The files around the book: workflows, environments, licences. They agree with each other."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import llmcourse

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
BY_NAME = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
PINNED = re.compile(r"[\w.-]+/[\w./-]+@(v\d+(\.\d+)*|[0-9a-f]{40})")


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def load(path: Path) -> dict[Any, Any]:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert isinstance(content, dict), f"{path.name} is not a mapping"
    return content


def steps(workflow: dict[Any, Any]) -> Iterator[dict[str, Any]]:
    for job in workflow["jobs"].values():
        yield from job["steps"]


@pytest.fixture(scope="module")
def targets() -> set[str]:
    """What `make` can be asked for."""
    return set(re.findall(r"^([a-z][a-z-]*):(?!=)", text("Makefile"), flags=re.MULTILINE))


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads(text("pyproject.toml"))


def test_there_are_workflows() -> None:
    assert {path.stem for path in WORKFLOWS} == {"test", "publish", "weekly"}


@BY_NAME
def test_actions_are_pinned(path: Path) -> None:
    used = [step["uses"] for step in steps(load(path)) if "uses" in step]
    assert all(PINNED.fullmatch(use) for use in used), used


@BY_NAME
def test_a_workflow_may_read_and_no_more(path: Path) -> None:
    """Rights to write belong to the one job that needs them, and that job runs no code of ours."""
    workflow = load(path)
    assert workflow["permissions"] == {"contents": "read"}
    assert "concurrency" in workflow
    for name, job in workflow["jobs"].items():
        assert job["timeout-minutes"] <= 150, name
        if "permissions" in job:
            assert not any("checkout" in step.get("uses", "") for step in job["steps"]), name


@BY_NAME
def test_make_is_asked_for_what_it_has(path: Path, targets: set[str]) -> None:
    commands = "\n".join(step.get("run", "") for step in steps(load(path)))
    asked = set(re.findall(r"^\s*make ([a-z-]+)", commands, flags=re.MULTILINE))
    assert asked or ".ci/run" in commands
    assert asked <= targets, asked - targets


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", ".ci/run", "book/how-to-use.md"])
def test_documents_ask_make_for_what_it_has(name: str, targets: set[str]) -> None:
    asked = set(re.findall(r"(?:^|`|exec )make ([a-z-]+)", text(name), flags=re.MULTILINE))
    assert asked and asked <= targets, asked - targets


def test_every_python_that_is_promised_is_tested(project: dict[str, Any]) -> None:
    low, high = re.findall(r"3\.(\d+)", project["project"]["requires-python"])
    promised = [f"3.{minor}" for minor in range(int(low), int(high))]
    matrix = load(ROOT / ".github/workflows/test.yml")["jobs"]["fast"]["strategy"]["matrix"]
    assert matrix["python"] == promised
    systems = set(matrix["os"]) | {job["os"] for job in matrix["include"]}
    assert {name.split("-")[0] for name in systems} == {"ubuntu", "macos", "windows"}


@pytest.mark.skipif(os.name == "nt", reason="bash")
@BY_NAME
def test_scripts_in_workflows_parse(path: Path) -> None:
    for step in steps(load(path)):
        if "run" in step:
            script = re.sub(r"\$\{\{.*?\}\}", "VALUE", step["run"])
            done = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True)
            assert done.returncode == 0, f"{step['run']}: {done.stderr}"


def test_actionlint() -> None:
    beside = Path(sys.executable).parent / ("actionlint.exe" if os.name == "nt" else "actionlint")
    actionlint = str(beside) if beside.exists() else shutil.which("actionlint")
    if actionlint is None:
        pytest.skip("actionlint is not installed")
    done = subprocess.run(
        [actionlint, *map(str, WORKFLOWS)], cwd=ROOT, text=True, capture_output=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(os.name == "nt", reason="no executable bit")
def test_the_ci_script_runs_the_tests() -> None:
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    script = text(".ci/run")
    assert "set -euo pipefail" in script
    assert script.rstrip().splitlines()[-1] == "exec make test"
    subprocess.run(["bash", "-n", str(ROOT / ".ci" / "run")], check=True)


def test_conda_and_binder_get_the_same_environment(project: dict[str, Any]) -> None:
    environment = load(ROOT / "environment.yml")
    assert environment["name"] == project["project"]["name"]
    python = next(d for d in environment["dependencies"] if str(d).startswith("python="))
    assert re.fullmatch(r"python=3\.(10|11|12|13)", python)
    (pip,) = (d["pip"] for d in environment["dependencies"] if isinstance(d, dict))
    assert "-c constraints.txt" in pip
    extras = re.fullmatch(r"-e \.\[(.+)\]", pip[-1])
    assert extras and set(extras[1].split(",")) <= set(project["project"]["optional-dependencies"])


def test_the_dev_container_calls_make(targets: set[str]) -> None:
    container = json.loads(text(".devcontainer/devcontainer.json"))
    assert container["postCreateCommand"].removeprefix("make ") in targets


def test_the_hooks_run_what_the_project_has() -> None:
    hooks = [h for repo in load(ROOT / ".pre-commit-config.yaml")["repos"] for h in repo["hooks"]]
    assert {"ruff", "ruff-format", "pairs", "end-of-file-fixer", "check-yaml"} <= {
        hook["id"] for hook in hooks
    }
    for word in " ".join(hook.get("entry", "") for hook in hooks).split():
        if word.startswith("tools/"):
            assert (ROOT / word).is_file(), word


def test_the_citation_names_this_book(project: dict[str, Any]) -> None:
    citation = load(ROOT / "CITATION.cff")
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["cff-version"] == "1.2.0"
    assert citation["title"] == load(ROOT / "_config.yml")["title"]
    assert citation["version"] == llmcourse.__version__
    assert citation["license"] == project["project"]["license"]


def test_licences() -> None:
    assert "Apache License" in text("LICENSE")[:100]
    assert text("LICENSE").rstrip().endswith("limitations under the License.")
    assert "https://creativecommons.org/licenses/by/4.0/legalcode" in text("LICENSE-text.md")


def test_the_changelog_has_room_for_news() -> None:
    headings = re.findall(r"^## \[(.+?)\]", text("CHANGELOG.md"), flags=re.MULTILINE)
    assert headings[0] == "Unreleased"
    assert headings[1:] == sorted(headings[1:], reverse=True)


def test_issue_forms() -> None:
    forms = [p for p in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml") if p.stem != "config"]
    assert len(forms) == 2
    for form in map(load, forms):
        assert {"name", "description", "body"} <= set(form)
        assert any(part.get("validations", {}).get("required") for part in form["body"])


def test_the_public_address_stands_in_one_place() -> None:
    """Owner and name of the repository are read from `_config.yml`; nothing repeats them."""
    address = load(ROOT / "_config.yml")["repository"]["url"].rstrip("/")
    owner_and_name = "/".join(address.split("/")[-2:])
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    repeated = [
        name
        for name in listed.stdout.split("\0")
        if name and name != "_config.yml" and (ROOT / name).is_file()
        and owner_and_name.encode() in (ROOT / name).read_bytes()
    ]  # fmt: skip
    assert not repeated
