"""The order in which an article tells things: three or four plans for each kind of entity."""

from __future__ import annotations

# Paragraphs of beats. A beat with "?" is told half of the time; "a/b" is one or the other.
Plan = list[list[str]]

PERSON: list[Plan] = [
    [
        ["lead", "?habit"],
        ["birth", "?childhood", "learning"],
        ["start", "main", "detail", "detail"],
        ["friend", "taste/pet", "anecdote"],
        ["?late", "death", "memory"],
    ],
    [
        ["lead", "main"],
        ["detail", "detail", "anecdote"],
        ["birth", "childhood", "learning", "start"],
        ["habit", "pet/taste", "friend"],
        ["death", "memory"],
    ],
    [
        ["lead-anecdote", "lead-short"],
        ["birth", "childhood", "learning"],
        ["start", "detail", "main", "detail"],
        ["habit", "anecdote", "?friend"],
        ["late", "death", "?memory"],
    ],
    [
        ["lead"],
        ["birth", "learning", "?start"],
        ["main", "detail", "?detail", "habit"],
        ["anecdote", "pet/taste"],
        ["anecdote", "friend", "late", "death"],
    ],
]
TOWN: list[Plan] = [
    [
        ["lead", "colour"],
        ["founded", "history", "river"],
        ["trade", "market", "landmark", "landmark-detail"],
        ["people", "food", "festival"],
        ["journey", "ending"],
    ],
    [
        ["lead", "landmark", "landmark-detail"],
        ["trade", "market", "colour", "?colour"],
        ["founded", "history", "?history"],
        ["festival", "food", "?people"],
        ["river", "journey", "?ending"],
    ],
    [
        ["colour", "lead"],
        ["market", "trade", "?food"],
        ["landmark", "landmark-detail", "river"],
        ["founded", "history", "people"],
        ["?festival", "journey", "ending"],
    ],
]
RIVER: list[Plan] = [
    [
        ["lead", "course", "?course"],
        ["towns", "crossing", "flood"],
        ["animal", "legend", "?person"],
        ["trade", "walk"],
        ["measured", "ending"],
    ],
    [
        ["lead", "legend"],
        ["course", "towns", "measured"],
        ["trade", "?trade", "crossing"],
        ["flood", "person", "animal"],
        ["walk", "?ending"],
    ],
    [
        ["lead", "course"],
        ["towns", "trade", "walk"],
        ["flood", "crossing", "?measured"],
        ["person", "animal", "legend", "ending"],
    ],
]
ANIMAL: list[Plan] = [
    [
        ["lead", "habits"],
        ["food", "voice", "young"],
        ["described", "?observation", "belief"],
        ["where", "threat"],
        ["habits", "ending"],
    ],
    [
        ["lead", "described"],
        ["habits", "food", "habits"],
        ["voice", "belief", "?belief"],
        ["young", "threat", "observation"],
        ["where", "?ending"],
    ],
    [
        ["lead", "belief"],
        ["described", "observation"],
        ["food", "young", "voice", "habits"],
        ["threat", "where", "?habits", "ending"],
    ],
]
CRAFT: list[Plan] = [
    [
        ["lead", "origin"],
        ["tool", "steps", "fault"],
        ["guild", "master", "life"],
        ["use", "trade", "?visitors", "ending"],
    ],
    [
        ["lead", "use", "?trade"],
        ["steps", "tool", "superstition"],
        ["origin", "master", "?guild"],
        ["fault", "life", "?life"],
        ["visitors", "?ending"],
    ],
    [
        ["lead", "life"],
        ["origin", "guild", "?superstition"],
        ["tool", "steps", "fault"],
        ["master", "use"],
        ["trade", "ending"],
    ],
]
FESTIVAL: list[Plan] = [
    [
        ["lead", "origin"],
        ["?preparation", "act", "rule", "moment"],
        ["prize", "person", "mishap"],
        ["food", "evening"],
        ["meaning", "?ending"],
    ],
    [
        ["lead", "act", "?dress"],
        ["origin", "mishap"],
        ["preparation", "rule", "prize"],
        ["moment", "food", "?person"],
        ["evening", "ending"],
    ],
    [
        ["lead", "meaning"],
        ["preparation", "?preparation-food", "dress"],
        ["act", "moment", "rule"],
        ["prize", "food", "evening"],
        ["origin", "person", "?mishap", "ending"],
    ],
]
DISH: list[Plan] = [
    [
        ["lead", "second", "taste"],
        ["method", "mistake", "side"],
        ["inventor", "history", "?person"],
        ["custom", "festival", "?poverty"],
        ["shop", "ending"],
    ],
    [
        ["lead", "inventor"],
        ["second", "method", "?taste"],
        ["mistake", "poverty", "custom"],
        ["side", "history", "person"],
        ["shop", "?ending"],
    ],
    [
        ["lead", "taste"],
        ["inventor", "history", "poverty"],
        ["second", "method", "side"],
        ["custom", "mistake", "?festival"],
        ["person", "shop", "?ending"],
    ],
]
