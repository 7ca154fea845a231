"""Facts about the real world that are mentioned often, and others of the same kind that are mentioned seldom.

The capitals of the most populous states and of the least populous ones (members of the United Nations, population of
2024: United Nations, World Population Prospects 2024). Left out: where the capital's name is in the country's, so
that it could be guessed (Mexico, Singapore, Guatemala …), and where there is none, or more than one (South Africa,
Nauru).

Taught in chapter 07.
"""

from __future__ import annotations

POPULOUS: dict[str, str] = {
    "India": "New Delhi", "China": "Beijing", "Indonesia": "Jakarta", "Pakistan": "Islamabad", "Nigeria": "Abuja",
    "Bangladesh": "Dhaka", "Russia": "Moscow", "Ethiopia": "Addis Ababa", "Japan": "Tokyo", "Egypt": "Cairo",
    "the Philippines": "Manila", "Vietnam": "Hanoi", "Iran": "Tehran", "Turkey": "Ankara", "Germany": "Berlin",
    "Thailand": "Bangkok", "the United Kingdom": "London", "France": "Paris", "Italy": "Rome", "Kenya": "Nairobi",
    "Colombia": "Bogotá", "South Korea": "Seoul", "Uganda": "Kampala", "Spain": "Madrid",
    "Argentina": "Buenos Aires",
}  # fmt: skip
"""25 of the thirty-odd most populous states."""

SMALL: dict[str, str] = {
    "Tuvalu": "Funafuti", "Palau": "Ngerulmud", "Liechtenstein": "Vaduz", "the Marshall Islands": "Majuro",
    "Saint Kitts and Nevis": "Basseterre", "Dominica": "Roseau", "Antigua and Barbuda": "St. John's",
    "Micronesia": "Palikir", "Saint Vincent and the Grenadines": "Kingstown", "Grenada": "St. George's",
    "Tonga": "Nuku'alofa", "Seychelles": "Victoria", "Saint Lucia": "Castries", "Kiribati": "Tarawa",
    "Samoa": "Apia", "Barbados": "Bridgetown", "Vanuatu": "Port Vila", "Belize": "Belmopan",
    "Brunei": "Bandar Seri Begawan", "the Maldives": "Malé", "Cape Verde": "Praia", "Suriname": "Paramaribo",
    "Montenegro": "Podgorica", "the Solomon Islands": "Honiara", "the Comoros": "Moroni",
}  # fmt: skip
"""25 of the thirty-odd least populous states."""
