"""The codes by which customers know their orders."""

from __future__ import annotations

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: nothing in it is mistaken for something else when it is read out or typed."""

_LETTERS = 22

_SHORTEST = 5

_FACTORS = (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9)  # odd, hence invertible modulo any power of two (from SplitMix64)


def order_code(number: int, *, prefix: str = "", suffix: str = "") -> str:
    """An order's code as customers see it (`SALE-G01ZG`): the scrambled number between a store's prefix and suffix."""
    return f"{prefix}{scramble(number)}{suffix}"


def scramble(number: int) -> str:
    """A number (from 1 on) as a short code that doesn't tell how many came before; every number has its own.

    Codes are 5 characters long for the first 23 million numbers, then 6, and so on. They begin with a letter, so that
    none looks like a number. Not a secret: `unscramble` is the way back. Raises ValueError for other numbers.
    """
    length, position = _SHORTEST, number - 1
    if position < 0:
        raise ValueError("numbers count from 1")
    while position >= _codes(length):
        position -= _codes(length)
        length += 1
    first = _first(length)
    value = _mix(position + first, 5 * length)
    while value < first:
        # Walking on to the next code that begins with a letter keeps the mapping one to one.
        value = _mix(value, 5 * length)
    return "".join(ALPHABET[value >> shift & 31] for shift in range(5 * (length - 1), -1, -5))


def unscramble(code: str) -> int:
    """The number that `scramble` made a code of. Raises ValueError for a text that is no code."""
    length = len(code)
    if length < _SHORTEST or any(character not in ALPHABET for character in code) or code[0].isdigit():
        raise ValueError("not a code")
    value = 0
    for character in code:
        value = value << 5 | ALPHABET.index(character)
    first = _first(length)
    value = _unmix(value, 5 * length)
    while value < first:
        value = _unmix(value, 5 * length)
    return value - first + 1 + sum(map(_codes, range(_SHORTEST, length)))


def _codes(length: int) -> int:
    """How many codes of a length there are."""
    return _LETTERS << 5 * (length - 1)


def _first(length: int) -> int:
    """The lowest code of a length that begins with a letter, as a number: A follows the ten digits."""
    return 10 << 5 * (length - 1)


def _mix(value: int, bits: int) -> int:
    """A permutation of all numbers of so many bits."""
    mask, half = (1 << bits) - 1, (bits + 1) // 2
    value = value * _FACTORS[0] & mask
    value ^= value >> half
    value = value * _FACTORS[1] & mask
    return value ^ value >> half


def _unmix(value: int, bits: int) -> int:
    """The inverse of `_mix`: shifting by half undoes itself, and odd factors have inverses."""
    mask, half = (1 << bits) - 1, (bits + 1) // 2
    value ^= value >> half
    value = value * pow(_FACTORS[1], -1, mask + 1) & mask
    value ^= value >> half
    return int(value * pow(_FACTORS[0], -1, mask + 1) & mask)
