"""The stages of one forward pass, each with its words, its formula, its numbers, and one number worked out.

What `walkthrough.ForwardPass` shows; here are only the contents. The numbers are those of `Transformer.trace`;
the worked number is computed again from the parameters, so the two can be held against each other.

Taught in chapter 04.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .labels import Labels, label_of, number, percent

if TYPE_CHECKING:
    from torch import Tensor

    from ..model.transformer import Transformer


@dataclass(frozen=True)
class Numbers:
    """A matrix with its heads: rows × columns."""

    caption: str
    values: Any
    rows: list[str]
    cols: list[str]
    percentages: bool = False


@dataclass(frozen=True)
class Stage:
    """One step from symbols to probabilities.

    Args:
        name: As in `Transformer.trace`.
        part: "Entrance", "Block 1", …, "Exit".
        title: What happens, in two or three words.
        words: What it is for.
        formula: TeX.
        shape: Of the result.
        numbers: All of it, as matrices.
        parameters: Name → how many, of those that act here.
        worked: One number of the result worked out, as a line of text.
        value: That number, computed from the parameters …
        traced: … and as the model computed it.
    """

    name: str
    part: str
    title: str
    words: str
    formula: str
    shape: str
    numbers: list[Numbers]
    worked: str
    value: float
    traced: float
    parameters: dict[str, int] = field(default_factory=dict)


class Walk:
    """Makes the stages of one model on one sequence.

    Args:
        model: A `Transformer`.
        ids: Symbols [T].
        symbols: What they are called.
        follow: The position, 0 to T − 1, whose numbers are worked out.
        most: Symbols listed at the exit of a model with many.
    """

    def __init__(
        self, model: Transformer, ids: Tensor, symbols: Labels, follow: int, most: int = 12
    ) -> None:
        self.model, self.config, self.follow = model, model.config, follow
        self.ids = [int(i) for i in ids]
        self.trace = {
            name: t[0].double() for name, t in model.trace(ids[None].to(model.device)).items()
        }
        self.weights = {name: p.detach() for name, p in model.named_parameters()}
        self.symbols = symbols
        self.here = [label_of(symbols, i) for i in self.ids]
        self.cols = [f"{t + 1} {label}" for t, label in enumerate(self.here)]
        V = self.config.vocab_size
        best = self.trace["probabilities"][follow].argsort(descending=True, stable=True).tolist()
        self.listed = list(range(V)) if most >= V else best[:most]

    def stages(self) -> Iterator[Stage]:
        """All stages, in the order of computation."""
        yield from self._entrance()
        for n in range(self.config.n_layers):
            before = f"blocks.{n - 1}.output" if n else "input"
            yield from self._attention(f"blocks.{n}.", f"Block {n + 1}", before)
            yield from self._mlp(f"blocks.{n}.", f"Block {n + 1}")
        yield from self._exit()

    # ------------------------------------------------------------------------------- the entrance

    def _entrance(self) -> Iterator[Stage]:
        C, V, t = self.config.width, self.config.vocab_size, self.follow
        row = self.weights["embedding.weight"][self.ids[t]].double()
        yield self._stage(
            "embedding", "Entrance", "Embedding",
            f"Each symbol is looked up in a table of {V:,} rows. The same symbol gives the same {C} numbers "
            "wherever it stands.",
            r"e_t = E[\mathrm{id}_t]",
            f"Position {t + 1} holds {self.here[t]}, symbol {self.ids[t]}: row {self.ids[t]} of the table begins "
            f"{_n(row[0])}, {_n(row[1 % C])}, {_n(row[2 % C])}, …",
            row[0], ["embedding.weight"],
        )  # fmt: skip
        if self.config.position != "learned":
            return
        e, p = self.trace["embedding"][t, 0], self.weights["positions.weight"][t, 0].double()
        yield self._stage(
            "input", "Entrance", "Add the position",
            "Each place in the row has numbers of its own, learnt like the symbols' and added to them: from here on "
            f"a {self.here[0]} in first place is not the same as a {self.here[0]} further on.",
            r"x_t = e_t + p_t",
            f"{_n(e)} + {_p(p)} = {_n(e + p)}", e + p, ["positions.weight"],
        )  # fmt: skip

    # ------------------------------------------------------------------------------------ a block

    def _attention(self, block: str, part: str, before: str) -> Iterator[Stage]:
        H, Hkv, hd = self.config.n_heads, self.config.n_kv_heads, self.config.head_dim
        t, a = self.follow, block + "attention."
        yield self._norm(block + "attention_norm", part, before, "attention")
        told = {
            "q": ("Queries", "What each position looks for", H),
            "k": ("Keys", "What each position has on offer, to be held against the queries", Hkv),
            "v": ("Values", "What each position hands over to those who look at it", Hkv),
        }
        for letter, (title, words, heads) in told.items():
            turned = self.config.position == "rope" and letter != "v"
            after = (
                " Pairs of numbers are then turned by an angle that grows with the position."
                * turned
            )
            worked, value = self._projected(a + letter, block + "attention_norm", turned)
            tex = rf"{letter}_t = W_{letter}\, h_t" + self._bias_tex(a + letter, f"b_{letter}")
            yield self._stage(
                a + letter, part, title,
                f"{words}: {heads * hd} weighted sums of its {self.config.width} numbers, dealt out to "
                f"{heads} head{'s' * (heads > 1)} of {hd}.{after}",
                tex, worked, value, self._named(a + letter),
            )  # fmt: skip
        k = self.trace[a + "k"]
        if self.config.smear:
            own, before_it = float(k[0, t, 0]), float(k[0, max(t - 1, 0), 0])
            share = float(self.weights[a + "smear"].double().sigmoid()[0])
            value = own + share * (before_it - own)
            k = self.trace[a + "smeared"]
            yield self._stage(
                a + "smeared", part, "Smeared keys",
                "Each key takes a share from the key before it, so that a position can be found by what stood before.",
                r"k'_t = k_t + \sigma(m)\,(k_{t-1} - k_t)",
                f"Head 1, first number: {_n(own)} + {percent(share)} · ({_n(before_it)} − {_p(own)}) = {_n(value)}",
                value, [a + "smear"],
            )  # fmt: skip
        q, k = self.trace[a + "q"], k.repeat_interleave(H // Hkv, dim=0)
        ahead = ~_causal(len(self.ids), q)
        scores = (q @ k.transpose(-2, -1) / math.sqrt(hd)).masked_fill(ahead, math.nan)
        self.trace[a + "scores"] = scores
        score = float(q[0, t] @ k[0, 0]) / math.sqrt(hd)
        yield self._stage(
            a + "scores", part, "Scores",
            "Each query is held against each key that it may see: multiplied number by number, and added up. A high "
            "score says: here is what I look for. What comes later is out of sight.",
            rf"s_{{ij}} = \frac{{q_i \cdot k_j}}{{\sqrt{{{hd}}}}} \quad (j \le i)",
            f"Head 1, position {t + 1} looking at position 1: ({_dot(q[0, t], k[0, 0])}) / √{hd} = {_n(score)}",
            score, [],
        )  # fmt: skip
        seen = scores[0, t, : t + 1]
        total = float(seen.exp().sum())
        yield self._stage(
            a + "weights", part, "Attention weights",
            "Softmax makes shares of the scores: all positive, and each row adds up to 100 %.",
            r"a_{ij} = \frac{e^{s_{ij}}}{\sum_{j' \le i} e^{s_{ij'}}}",
            f"Head 1, position {t + 1}: e^({_n(seen[0])}) = {_n(seen[0].exp())}; all {t + 1} of its row add up to "
            f"{_n(total)}; the share is {percent(float(seen[0].exp()) / total)}",
            seen[0].exp() / total, [],
        )  # fmt: skip
        w, v = self.trace[a + "weights"][0, t], self.trace[a + "v"][0, :, 0]
        yield self._stage(
            a + "heads", part, "Mix the values",
            "Each head hands each position the values of the positions it looks at, mixed in these shares. "
            "This is the only place where numbers move from one position to another.",
            r"o_i = \sum_{j \le i} a_{ij}\, v_j",
            f"Head 1, first number of position {t + 1}: {_dot(w[: t + 1], v[: t + 1])} = {_n(w @ v)}",
            w @ v, [],
        )  # fmt: skip
        side_by_side = self.trace[a + "heads"].transpose(0, 1).reshape(len(self.ids), -1)
        self.trace[a + "side"] = side_by_side
        worked, value = self._projected(a + "out", a + "side", turned=False)
        yield self._stage(
            block + "attention", part, "Join the heads",
            f"The {H} heads' results lie side by side, {H * hd} numbers for each position, and are mixed once more.",
            r"\mathrm{att}_t = W_o\, o_t" + self._bias_tex(a + "out", "b_o"),
            worked, value, self._named(a + "out"),
        )  # fmt: skip
        yield self._sum(block + "after_attention", part, before, block + "attention", "attention")

    def _mlp(self, block: str, part: str) -> Iterator[Stage]:
        m, t, hidden = block + "mlp.", self.follow, self.config.hidden
        yield self._norm(block + "mlp_norm", part, block + "after_attention", "the MLP")
        h = self.trace[block + "mlp_norm"][t]
        z, text = self._linear(m + "w1", h, 0)
        if self.config.mlp == "swiglu":
            u, other = self._linear(m + "w3", h, 0)
            value = z / (1 + math.exp(-z)) * u
            words = "a neuron weighs its position's numbers twice, and one sum decides how much of the other passes"
            tex = r"\mathrm{silu}(W_1 h) \odot W_3 h"
            worked = f"silu({text}) · ({other}) = silu({_n(z)}) · {_p(u)} = {_n(value)}"
        else:
            value = _gelu(z, self.config.mlp)
            words = "a neuron weighs the numbers of its position, and speaks up if the sum is above zero"
            tex = r"g = \mathrm{gelu}(W_1 h" + self._bias_tex(m + "w1", "b_1") + ")"
            worked = f"gelu({text}) = gelu({_n(z)}) = {_n(value)}"
        yield self._stage(
            m + "hidden", part, "Hidden neurons",
            f"Each position by itself, {hidden:,} neurons: {words}.",
            tex, f"First neuron, position {t + 1}: {worked}", value,
            self._named(m + "w1", m + "w3"),
        )  # fmt: skip
        worked, value = self._projected(m + "w2", m + "hidden", turned=False)
        yield self._stage(
            block + "mlp", part, "MLP output",
            f"What the {hidden:,} neurons say is gathered into {self.config.width} numbers.",
            r"\mathrm{mlp}_t = W_2\, g" + self._bias_tex(m + "w2", "b_2"),
            worked, value, self._named(m + "w2"),
        )  # fmt: skip
        yield self._sum(block + "output", part, block + "after_attention", block + "mlp", "the MLP")

    # ----------------------------------------------------------------------------------- the exit

    def _exit(self) -> Iterator[Stage]:
        t, C = self.follow, self.config.width
        last = f"blocks.{self.config.n_layers - 1}.output"
        yield self._norm("norm", "Exit", last, "the exit")
        name = "embedding.weight" if self.config.tied else "head.weight"
        symbol = self.listed[0]
        h, row = self.trace["norm"][t], self.weights[name][symbol].double()
        first = label_of(self.symbols, symbol)
        words = f"Each symbol gets a score, its logit: its own {C} numbers times the position's, summed."
        if self.config.tied:
            words += " The table is the one at the entrance, used a second time: no new parameters."
        yield self._stage(
            "logits", "Exit", "Logits", words,
            r"z_t = E\, h_t" if self.config.tied else r"z_t = W_{\mathrm{head}}\, h_t",
            f"{first} after position {t + 1}: {_dot(h, row)} = {_n(h @ row)}",
            h @ row, [name],
        )  # fmt: skip
        logits = self.trace["logits"][t]
        share = (logits[symbol] - logits.logsumexp(0)).exp()
        yield self._stage(
            "probabilities", "Exit", "Probabilities",
            "Softmax again: the logits become probabilities. The last column is the model's answer: what comes next.",
            r"p_t(v) = \frac{e^{z_{t,v}}}{\sum_{v'} e^{z_{t,v'}}}",
            f"{first} after position {t + 1}: e^({_n(logits[symbol])}) out of the sum of all {len(logits):,}, "
            f"{percent(float(share))}",
            share, [],
        )  # fmt: skip

    # ------------------------------------------------------------------ stages that occur many times

    def _norm(self, name: str, part: str, before: str, whom: str) -> Stage:
        x, t = self.trace[before], self.follow
        gain = self.weights[name + ".weight"].double()
        C = len(gain)
        if self.config.norm == "rms":
            rms = float((x[t].square().mean() + self.config.norm_eps).sqrt())
            value = x[t, 0] / rms * gain[0]
            words = "brought to mean square 1, then stretched by learnt gains"
            tex = r"h = \frac{x}{\sqrt{\overline{x^2} + \epsilon}} \odot g"
            worked = f"Position {t + 1}: {_n(x[t, 0])} / {_n(rms)} · {_p(gain[0])} = {_n(value)}"
        else:
            mean = float(x[t].mean())
            std = math.sqrt(float((x[t] - mean).square().mean()) + self.config.norm_eps)
            value = (x[t, 0] - mean) / std * gain[0]
            words = "brought to mean 0 and variance 1, then stretched by learnt gains"
            tex = r"h = \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}} \odot g"
            worked = f"Position {t + 1} has μ = {_n(mean)} and σ = {_n(std)}: "
            worked += f"({_n(x[t, 0])} − {_p(mean)}) / {_n(std)} · {_p(gain[0])}"
            if name + ".bias" in self.weights:
                shift = self.weights[name + ".bias"][0].double()
                value, words, tex = value + shift, words + " and shifted by biases", tex + " + b"
                worked += f" + {_p(shift)}"
            worked += f" = {_n(value)}"
        return self._stage(
            name, part, "RMS norm" if self.config.norm == "rms" else "Layer norm",
            f"Each position by itself: its {C} numbers are {words}. However large the sum has grown, {whom} "
            "sees numbers of about the same size.",
            tex, worked, value, self._named(name),
        )  # fmt: skip

    def _sum(self, name: str, part: str, x: str, y: str, whom: str) -> Stage:
        a, b = self.trace[x][self.follow, 0], self.trace[y][self.follow, 0]
        return self._stage(
            name, part, "Residual sum",
            f"What {whom} found is added to what came in. Nothing is overwritten, and gradients find the way back.",
            rf"x \leftarrow x + \mathrm{{{'att' if whom == 'attention' else 'mlp'}}}",
            f"{_n(a)} + {_p(b)} = {_n(a + b)}", a + b, [],
        )  # fmt: skip

    def _projected(self, name: str, before: str, turned: bool) -> tuple[str, float]:
        """The first number of `name` at the position that is followed, worked out."""
        h = self.trace[before][self.follow]
        value, text = self._linear(name, h, 0)
        worked = f"First number, position {self.follow + 1}: {text} = {_n(value)}"
        if turned:
            from ..model.rope import rope_frequencies

            c = self.config
            other, _ = self._linear(name, h, c.head_dim // 2)
            angle = self.follow * float(
                rope_frequencies(c.head_dim, c.rope_theta, c.rope_scaling)[0]
            )
            result = value * math.cos(angle) - other * math.sin(angle)
            worked += (
                f"; its partner, number {c.head_dim // 2}, is {_n(other)}; turned by {_n(angle)} radians: "
                f"{_n(value)} · cos − {_p(other)} · sin = {_n(result)}"
            )
            value = result
        return worked, value

    def _linear(self, name: str, h: Tensor, row: int) -> tuple[float, str]:
        """One output of a linear layer: its value, and the sum as text."""
        weight = self.weights[name + ".weight"][row].double()
        bias = self.weights.get(name + ".bias")
        text = _dot(h, weight)
        if bias is None:
            return float(h @ weight), text
        return float(h @ weight + bias[row]), f"{text} + {_p(bias[row])}"

    def _bias_tex(self, name: str, letter: str) -> str:
        return f" + {letter}" if name + ".bias" in self.weights else ""

    def _named(self, *layers: str) -> list[str]:
        """The parameters of these layers that the model has."""
        names = [f"{layer}.{kind}" for layer in layers for kind in ("weight", "bias")]
        return [name for name in names if name in self.weights]

    # -------------------------------------------------------------------------------- putting together

    def _stage(
        self, name: str, part: str, title: str, words: str, formula: str, worked: str,
        value: Any, parameters: Sequence[str],
    ) -> Stage:  # fmt: skip
        result = self.trace[name]
        t = self.follow
        kind = name.rsplit(".", 1)[-1]
        if kind in ("logits", "probabilities"):
            traced = result[t, self.listed[0]]
        elif kind in ("scores", "weights"):
            traced = result[0, t, 0]
        else:
            traced = result[0, t, 0] if result.ndim == 3 else result[t, 0]
        return Stage(
            name, part, title, words, formula, " × ".join(f"{n:,}" for n in result.shape),
            self._numbers(name, kind, result), worked, float(value), float(traced),
            {p: self.weights[p].numel() for p in parameters},
        )  # fmt: skip

    def _numbers(self, name: str, kind: str, result: Tensor) -> list[Numbers]:
        """The result as matrices: numbers downwards, positions across; or query by key, a head each."""
        if kind in ("scores", "weights"):
            share = kind == "weights"
            blank = result.masked_fill(~_causal(len(self.ids), result), math.nan)
            what = "% of its attention" if share else "score"
            return [
                Numbers(
                    f"Head {h + 1}: {what}, from each position (row) to each (column)",
                    blank[h], self.cols, self.cols, share,
                )
                for h in range(len(result))
            ]  # fmt: skip
        if kind in ("logits", "probabilities"):
            heads = [label_of(self.symbols, i) for i in self.listed]
            what = "Logit" if kind == "logits" else "Probability in %"
            some = "" if len(heads) == result.shape[1] else ", the likeliest at the end"
            caption = f"{what} of each next symbol (row) after each position (column){some}"
            return [Numbers(caption, result[:, self.listed].T, heads, self.cols, kind != "logits")]
        if result.ndim == 3:  # heads: one above the other
            H, _, hd = result.shape
            rows = [f"h{h + 1}·{i}" for h in range(H) for i in range(hd)]
            stacked = result.transpose(1, 2).reshape(H * hd, -1)
            caption = f"{hd} numbers (rows) of each of {H} heads at each position (column)"
            return [Numbers(caption, stacked, rows, self.cols)]
        rows = [str(i) for i in range(result.shape[1])]
        caption = f"{result.shape[1]:,} numbers (rows) at each position (column)"
        return [Numbers(caption, result.T, rows, self.cols)]


def _causal(T: int, like: Tensor) -> Tensor:
    from ..model.attention import causal_mask

    return causal_mask(T, device=like.device)


def _gelu(z: float, kind: str) -> float:
    import torch

    from ..model.layers import gelu

    return float(
        gelu(torch.tensor(z, dtype=torch.float64), "tanh" if kind == "gelu_tanh" else "none")
    )


def _n(x: Any) -> str:
    """A number in a worked line: three decimals, more for small ones."""
    value = float(x)
    return number(value, 3 if abs(value) >= 0.01 or value == 0 else 5)


def _p(x: Any) -> str:
    """The same after a sign: negative numbers in brackets."""
    text = _n(x)
    return f"({text})" if text.startswith("−") else text


def _dot(a: Tensor, b: Tensor, shown: int = 2) -> str:
    """A sum of products as text: the first two and how many there are."""
    pairs = list(zip(a[:shown], b[:shown], strict=True))
    terms = [f"{_p(x) if i else _n(x)} · {_p(y)}" for i, (x, y) in enumerate(pairs)]
    if len(a) > shown:
        terms.append(f"… ({len(a)} products)")
    return " + ".join(terms)
