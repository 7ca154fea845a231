"""From gradients to steps: AdamW, Muon, and clipping.

A gradient says which way the loss climbs, not how far to go the other way. AdamW gives every single
number a step of about the same size; Muon gives a whole matrix a step that moves all its
directions equally. Both are written to be read; `one_pass` has a faster way to AdamW's numbers.

Taught in chapter 03 (AdamW) and chapter 06 (Muon).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, cast, overload

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ..errors import CourseError
from .one_pass import can_step_in_one_pass, step_in_one_pass
from .sharding import part_of, whole

Params = Iterable[Tensor] | Iterable[dict[str, Any]]


class _Stepper(Optimizer):
    """What both optimizers share: going through the parameters that have a gradient."""

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Move every parameter that has a gradient. `closure`, if given, computes the loss first.

        Raises:
            CourseError: if a gradient is sparse.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            params = [param for param in group["params"] if param.grad is not None]
            for param in params:
                if param.grad.is_sparse:
                    raise CourseError(
                        f"a parameter {list(param.shape)} has a sparse gradient",
                        hint="make the embedding with sparse=False",
                    )
            self._move_all(params, group)
        return loss

    def _move_all(self, params: list[Tensor], group: dict[str, Any]) -> None:
        for param in params:
            self._move(param, cast(Tensor, param.grad), self.state[param], group)

    def _move(self, w: Tensor, g: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        raise NotImplementedError


class AdamW(_Stepper):
    """Adam with decoupled weight decay (Loshchilov & Hutter, arXiv:1711.05101, algorithm 2).

    Two running averages for every number: m of its gradient, v of the gradient's square. A step is
    m / √v, so it is about `lr` long whether gradients are large or small, and shorter where they
    keep changing sign. Weight decay shrinks the weight itself and stays out of both averages.
    Gives the numbers of `torch.optim.AdamW`.

    Args:
        params: Parameters, or groups of them, each a dictionary with settings of its own.
        lr: Length of a step.
        betas: How much of m and of v is kept at each step.
        eps: Added to √v, so that nothing is divided by zero.
        weight_decay: How much of each weight goes at each step, in units of `lr`.

    Raises:
        CourseError: if a setting makes no sense.

    Taught in chapter 03.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(
            cast(Any, params),
            {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay},
        )

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        _at_least_0(group, "lr", "eps", "weight_decay")
        for beta in group["betas"]:
            _fraction("betas", beta)

    def _move_all(self, params: list[Tensor], group: dict[str, Any]) -> None:
        for w in params:
            if not self.state[w]:
                self.state[w].update(step=0, m=torch.zeros_like(w), v=torch.zeros_like(w))
            self.state[w]["step"] += 1
        # What `_move` does, in one pass over memory instead of seven, where torch has that.
        fast = [can_step_in_one_pass(w, self.state[w]) for w in params]
        chosen = [w for w, yes in zip(params, fast, strict=True) if yes]
        step_in_one_pass(chosen, [self.state[w] for w in chosen], group)
        super()._move_all([w for w, yes in zip(params, fast, strict=True) if not yes], group)

    def _move(self, w: Tensor, g: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        step, m, v = state["step"], state["m"], state["v"]
        beta1, beta2 = group["betas"]

        w.mul_(1 - group["lr"] * group["weight_decay"])
        m.lerp_(g, 1 - beta1)  # m = β₁ m + (1 − β₁) g
        v.mul_(beta2).addcmul_(g, g, value=1 - beta2)  # v = β₂ v + (1 − β₂) g²
        # Both began at 0 and are too small at first, by exactly these factors.
        correction1, correction2 = 1 - beta1**step, 1 - beta2**step
        size = (v.sqrt() / math.sqrt(correction2)).add_(group["eps"])
        w.addcdiv_(m, size, value=-group["lr"] / correction1)


def orthogonalised(g: Tensor, steps: int = 5) -> Tensor:
    """The nearest matrix whose rows (or columns) are orthonormal, roughly. [..., m, n] → [..., m, n].

    If G = U S Vᵀ, it is about U Vᵀ: the same directions, all of the same strength. A Newton–Schulz
    iteration, matrix products only, each a polynomial a s + b s³ + c s⁵ of the singular values s.
    Jordan's coefficients drive small values up fastest and do not settle at 1: after five steps
    values end between about 0.7 and 1.2 ("Muon: an optimizer for hidden layers in neural networks",
    2024), which is as good for training. A matrix of zeros stays one. Of several matrices, each is
    treated by itself.

    Taught in chapter 06.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    # bfloat16 has digits enough, and a GPU multiplies it many times faster; a CPU does not.
    x = g.to(torch.bfloat16 if g.device.type == "cuda" else torch.float32)
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x  # x xᵀ is then the smaller of the two products
    x = x / (
        torch.linalg.vector_norm(x, dim=(-2, -1), keepdim=True) + 1e-7
    )  # no singular value is above 1
    for _ in range(steps):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return cast(Tensor, (x.mT if tall else x).to(g.dtype))


class Muon(_Stepper):
    """Momentum, made orthogonal: for the matrices inside a network (Jordan et al., 2024).

    A matrix's gradient is dominated by a few directions; plain momentum would hardly move in the
    others. Here all directions move equally. Embeddings, the exit, norms and biases are no maps
    between hidden vectors: give those to AdamW (`matrices_and_rest`).

    Args:
        params: 2-D parameters, or groups of them.
        lr: Length of a step.
        momentum: How much of the running sum of gradients is kept at each step.
        nesterov: Look one step ahead along the momentum.
        weight_decay: As in AdamW.
        ns_steps: Newton–Schulz iterations.
        match_adamw: How steps are scaled to a matrix [out, in]. False, Jordan's: by
            √max(1, out / in), and `lr` is around 0.02. True: by 0.2 √max(out, in), so that an
            entry's step is about as large as AdamW's, whose `lr` and `weight_decay` then serve both
            ("Muon is scalable for LLM training", arXiv:2502.16982, equation 4).

    Raises:
        CourseError: if a parameter is no matrix or a setting makes no sense.

    Taught in chapter 06.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 0.02,
        momentum: float = 0.95,
        nesterov: bool = True,
        weight_decay: float = 0.0,
        ns_steps: int = 5,
        match_adamw: bool = False,
    ) -> None:
        super().__init__(
            cast(Any, params),
            {
                "lr": lr, "momentum": momentum, "nesterov": nesterov, "weight_decay": weight_decay,
                "ns_steps": ns_steps, "match_adamw": match_adamw,
            },
        )  # fmt: skip

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        _at_least_0(group, "lr", "weight_decay", "ns_steps")
        _fraction("momentum", group["momentum"])
        for param in group["params"]:
            if param.ndim != 2:
                raise CourseError(
                    f"Muon moves matrices, not a parameter {list(param.shape)}",
                    hint="give it matrices_and_rest(model)[0], and the rest to AdamW",
                )

    def _move_all(self, params: list[Tensor], group: dict[str, Any]) -> None:
        # Rows alone say nothing about directions: a matrix that is dealt out is put together for this.
        directions = [whole(self._direction(w, group)) for w in params]
        # Matrices of one shape go through the iteration together: fewer and larger products.
        alike: dict[tuple[torch.Size, torch.device, torch.dtype], list[int]] = {}
        for i, d in enumerate(directions):
            alike.setdefault((d.shape, d.device, d.dtype), []).append(i)
        for members in alike.values():
            steps = orthogonalised(torch.stack([directions[i] for i in members]), group["ns_steps"])
            for i, step in zip(members, steps, strict=True):
                self._turn(params[i], step, group)

    def _direction(self, w: Tensor, group: dict[str, Any]) -> Tensor:
        """The momentum after this step's gradient, or with `nesterov` a step ahead of it."""
        g, state, momentum = cast(Tensor, w.grad), self.state[w], group["momentum"]
        if not state:
            state["m"] = torch.zeros_like(w)
        m = state["m"].lerp_(g, 1 - momentum)
        return g.lerp(m, momentum) if group["nesterov"] else m

    def _turn(self, w: Tensor, step: Tensor, group: dict[str, Any]) -> None:
        rows, columns = w.shape
        scale = math.sqrt(max(1.0, rows / columns))
        if group["match_adamw"]:
            scale = 0.2 * math.sqrt(max(rows, columns))
        w.mul_(1 - group["lr"] * group["weight_decay"])
        w.add_(part_of(step, w), alpha=-group["lr"] * scale)


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """A model's trainable parameters, as groups: matrices decay, vectors (norms, biases) do not.

    A decaying gain would pull the sum of a norm towards silence, and a bias has nothing to overfit
    with. Embeddings are matrices and decay. Tied parameters come once.

    Taught in chapter 06.
    """
    return _groups([p for p in model.parameters() if p.requires_grad], weight_decay)


def matrices_and_rest(
    model: nn.Module, weight_decay: float
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What Muon may move, the matrices inside the blocks, and what stays for AdamW; as groups.

    Embeddings, learned positions and the exit are tables with a row for each symbol or place, so
    they stay, recognised by the first part of their names; and so does all that is no matrix.

    Taught in chapter 06.
    """
    inside: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for name, param in model.named_parameters():
        if param.requires_grad:
            name = name.removeprefix("_orig_mod.").removeprefix("module.")  # compiled; DDP's
            table = name.split(".")[0] in ("embedding", "positions", "head")
            (rest if table or param.ndim != 2 else inside).append(param)
    return _groups(inside, weight_decay), _groups(rest, weight_decay)


def _groups(params: list[nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    groups = [
        {"params": [p for p in params if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in params if p.ndim < 2], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


@torch.no_grad()
def clip_grad_norm(params: Iterable[Tensor] | Tensor, max_norm: float) -> Tensor:
    """Shorten all gradients together, in place, if together they are longer than `max_norm`.

    One odd batch then cannot throw the model far (Pascanu et al., arXiv:1211.5063, algorithm 1).
    Parameters without a gradient are skipped.

    Returns:
        The length before, √Σ g² over every number of every gradient: a scalar, float32 or float64,
        0 if there is no gradient. If it is infinite or NaN, no gradient is changed: look at it
        before you step. (Nothing is copied to the CPU here, so a GPU is not kept waiting.)

    Raises:
        CourseError: if `max_norm` is negative or NaN.

    Taught in chapter 06.
    """
    if not max_norm >= 0:
        raise CourseError(f"gradients cannot be clipped to {max_norm}", hint="max_norm ≥ 0")
    params = [params] if isinstance(params, Tensor) else params
    grads = [p.grad for p in params if p.grad is not None]
    if not grads:
        return torch.tensor(0.0)
    lengths = [
        torch.linalg.vector_norm(g, dtype=torch.promote_types(g.dtype, torch.float32))
        for g in grads
    ]
    norm = torch.linalg.vector_norm(torch.stack([n.to(lengths[0].device) for n in lengths]))
    factor = (max_norm / (norm + 1e-6)).clamp(max=1.0)
    factor = torch.where(norm.isfinite(), factor, torch.ones_like(factor))
    for g in grads:
        g.mul_(factor.to(g.device))
    return cast(Tensor, norm)


def _at_least_0(group: dict[str, Any], *names: str) -> None:
    for name in names:
        if not 0 <= group[name] < math.inf:
            raise CourseError(f"{name} is {group[name]}", hint=f"{name} ≥ 0")


def _fraction(name: str, value: float) -> None:
    if not 0 <= value < 1:
        raise CourseError(f"{name} has {value}", hint="0 ≤ it < 1")
