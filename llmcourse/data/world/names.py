"""Invented proper names: pronounceable, and no two alike."""

from __future__ import annotations

import random


def words(text: str) -> list[str]:
    """The words of a text; for word lists that a person should be able to read."""
    return text.split()


TOWN_STARTS = words(
    "Ald Bar Bel Bram Bren Cal Cor Dal Dor Dun Eld Esk Fal Fen Gal Gar Gost Har Hest Ild Jor Kel "
    "Lan Lor Mar Mel Nar Nim Ost Pel Quor Rav Ros Sal Ser Tam Tar Tol Ulm Vas Vel Ves Wil Yar Zan"
)
TOWN_ENDS = words(
    "avel avin issen ovar umber ister ellow arrow ennet orrel olin amere ithe ova iscar uvane "
    "oster ibray acott idene egarth ombe olt anry illet abeck isund ével öller evick"
)
RIVER_STARTS = words(
    "Mi Te Lo Ve Bra Ka Na Li Wi Du Sho Tha Cre Sa Qui Hu Ro Fe Ga Pi Sto Tri Yo Za"
)
RIVER_ENDS = words("ssel lder rrow nnet rrin sk lm rne ddle tten vane mmer lloth zel gg ble shan")
SURNAME_STARTS = words(
    "Tanq Voss Pell Harr Merr Oll Quill Brack Cress Dorm Fenn Gorr Hask Iv Jess Kerr Lamm Morr "
    "Nett Orch Pask Rudd Sedd Thorn Umm Varr Wick Yarr Zell Birk Cald Drew Elm Farr Gant Holl Ing "
    "Kett Lusc Mapp Nairn Opp Pym Rast Skell Trev Uld Wend"
)
SURNAME_ENDS = words(
    "amoor eby icott addle enby imer ock andry ester inshaw oway arby etto ingale ander ivane "
    "eray olt usk erwin omby elow etter under iman ésan öde"
)
WOMEN = words(
    "Adry Alis Amabel Ansa Bettony Brisa Calla Cecily Dorrit Edda Elspet Emmony Fenna Floris "
    "Gerda Hanne Hester Ilka Ione Jessa Jorun Katrin Kerensa Lisbet Lowri Mabyn Maris Merrin "
    "Nessa Nerin Odile Oleta Orla Pernel Petra Quenby Rilla Rosam Sabra Senna Sibyl Sunniva Tamsin "
    "Tessaly Thora Una Ursa Veda Verrin Wenna Willa Yrsa Ysolt Zilla"
)
MEN = words(
    "Abel Aldo Anders Aske Barnaby Bevis Bram Casper Corin Davin Diggory Edric Emrys Evert Fabian "
    "Florin Garrick Gervase Hamon Hew Idris Ivo Jago Jorik Josse Kester Kit Lambert Leof Linus "
    "Magnus Merek Milo Ned Nicol Odo Osric Otto Perrin Piers Quentin Ralf Rufus Sander Silas Simmon "
    "Tobias Torvald Ulric Valentin Warin Wystan Yorick Zeno"
)


def skeleton(name: str) -> str:
    """What is left when the vowels and doubled letters go: names that share it sound alike."""
    kept = [c for c in name.lower() if c not in "aeiouyéöåü"]
    return "".join(c for i, c in enumerate(kept) if i == 0 or c != kept[i - 1])


class Namer:
    """Draws names without ever repeating one, or one that sounds like it or contains it."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._skeletons: set[tuple[str, str]] = set()
        self._names: set[str] = set()

    def _fresh(self, sort: str, starts: list[str], ends: list[str]) -> str:
        for attempt in range(5000):
            name = self._rng.choice(starts) + self._rng.choice(ends)
            key = (sort, skeleton(name))
            # After many tries the country is full: give up on sounding different, not on being so.
            if name in self._names or (key in self._skeletons and attempt < 4000):
                continue
            self._names.add(name)
            self._skeletons.add(key)
            return name
        raise ValueError(f"no {sort} names are left; add syllables to names.py")

    def town(self) -> str:
        """A town, such as *Corissen*."""
        return self._fresh("town", TOWN_STARTS, TOWN_ENDS)

    def river(self) -> str:
        """A river, such as *Lossel*; the article is not part of it."""
        return self._fresh("river", RIVER_STARTS, RIVER_ENDS)

    def surname(self) -> str:
        """A family name, such as *Pellimer*."""
        return self._fresh("surname", SURNAME_STARTS, SURNAME_ENDS)

    def person(self, woman: bool) -> tuple[str, str]:
        """A first name and a family name that nobody else bears."""
        return self._rng.choice(WOMEN if woman else MEN), self.surname()
