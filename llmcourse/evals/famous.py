"""Passages that stand on thousands of web pages, and imitations that stand on none.

The originals are in the public domain. Each imitation was written for this book, of the same kind and about as long;
where it repeats words of its original it only becomes easier to predict.

Taught in chapter 07.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Passage:
    """A famous passage and its imitation.

    Attributes:
        name: What it is.
        original: Its beginning, word for word.
        imitation: Something of the same kind that nobody can have read.
    """

    name: str
    original: str
    imitation: str


PASSAGES: tuple[Passage, ...] = (
    Passage(
        "Declaration of Independence",
        "We hold these truths to be self-evident, that all men are created equal, that they are endowed by their "
        "Creator with certain unalienable Rights, that among these are Life, Liberty and the pursuit of Happiness. "
        "That to secure these rights, Governments are instituted among Men, deriving their just powers from the "
        "consent of the governed,",
        "We hold these customs to be worth keeping, that all guests are served alike, that they are offered by "
        "their host some simple comforts, that among these are Bread, Shelter and a chair near the fire. That to "
        "keep these customs, wardens are chosen among the innkeepers, taking their modest pay from the thanks of "
        "the travellers,",
    ),
    Passage(
        "Preamble of the US constitution",
        "We the People of the United States, in Order to form a more perfect Union, establish Justice, insure "
        "domestic Tranquility, provide for the common defence, promote the general Welfare, and secure the "
        "Blessings of Liberty to ourselves and our Posterity, do ordain and establish this Constitution for the "
        "United States of America.",
        "We the millers of the lower valley, in order to build a better channel, settle our quarrels, keep the "
        "peace along the river, pay for the common dam, encourage honest trade, and secure the use of the water to "
        "ourselves and our children, do write down and sign this agreement for the nine mills of the valley.",
    ),
    Passage(
        "Gettysburg Address",
        "Four score and seven years ago our fathers brought forth on this continent, a new nation, conceived in "
        "Liberty, and dedicated to the proposition that all men are created equal. Now we are engaged in a great "
        "civil war, testing whether that nation, or any nation so conceived and so dedicated, can long endure. We "
        "are met on a great battle-field of that war.",
        "Three score and ten years ago our grandfathers built across this river a new bridge, planned in hope, and "
        "given to the belief that all the villages are neighbours. Now we are met after a great flood, asking "
        "whether that bridge, or any bridge so planned and so given, can be built again. We are standing on the "
        "bank where the old one fell.",
    ),
    Passage(
        "Lord's Prayer",
        "Our Father which art in heaven, Hallowed be thy name. Thy kingdom come. Thy will be done in earth, as it "
        "is in heaven. Give us this day our daily bread. And forgive us our debts, as we forgive our debtors. And "
        "lead us not into temptation, but deliver us from evil: For thine is the kingdom, and the power, and the "
        "glory, for ever.",
        "Our Mother which dwellest in the hills, Honoured be thy house. Thy summer come. Thy word be kept in the "
        "valley, as it is in the hills. Show us this morning our way home. And pardon us our noise, as we pardon "
        "our neighbours. And send us not into the storm, but bring us back before night: For thine is the snow, "
        "and the stone, and the water, for ever.",
    ),
    Passage(
        "Psalm 23",
        "The LORD is my shepherd; I shall not want. He maketh me to lie down in green pastures: he leadeth me "
        "beside the still waters. He restoreth my soul: he leadeth me in the paths of righteousness for his name's "
        "sake. Yea, though I walk through the valley of the shadow of death, I will fear no evil: for thou art "
        "with me; thy rod and thy staff they comfort me.",
        "The river is my road; I shall not hurry. It carrieth me past the quiet meadows: it bringeth me under the "
        "old bridges. It washeth my boat: it showeth me the deep channel for my family's sake. Yea, though I pass "
        "through the narrow gate of the mountain, I will trust the water: for it knoweth the way; its voice and "
        "its light they guide me.",
    ),
    Passage(
        "Hamlet",
        "To be, or not to be, that is the question: Whether 'tis nobler in the mind to suffer The slings and "
        "arrows of outrageous fortune, Or to take arms against a sea of troubles And by opposing end them. To die, "
        "to sleep, No more; and by a sleep to say we end The heart-ache and the thousand natural shocks That flesh "
        "is heir to:",
        "To go, or not to go, that is the question: Whether 'tis wiser in the end to carry The weight and worry of "
        "an honest office, Or to walk out upon a morning in April And by walking leave it. To rest, to travel, No "
        "more; and by a journey to say we leave The letters and the thousand small demands That work is made of:",
    ),
)
