"""Hashes of passwords: how they are made, and what matches them."""

from __future__ import annotations

import subprocess
import sys

import bcrypt
import pytest
from argon2 import PasswordHasher

from registry.service.passwords import hash_password, verify


def weak(password: str) -> str:
    """By argon2 with parameters that take no time."""
    return PasswordHasher(memory_cost=8, time_cost=1, parallelism=1).hash(password)


def by_bcrypt(password: bytes) -> str:
    return bcrypt.hashpw(password, bcrypt.gensalt(4)).decode()


def test_a_made_hash_is_argon2id_with_the_parameters_of_today() -> None:
    made = hash_password("secret")
    assert made.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert verify(made, "secret")
    assert not verify(made, "Secret")
    assert made != hash_password("secret")


def test_a_password_has_a_length() -> None:
    for password in ("", "x" * 1025, "é" * 513):
        with pytest.raises(ValueError, match="1 to 1024 bytes"):
            hash_password(password)


def test_bcrypt_does_not_take_a_longer_password_or_a_repeated_one_for_the_same() -> None:
    stored = by_bcrypt(b"x" * 72)
    assert verify(stored, "x" * 72)
    assert not verify(stored, "x" * 73)
    assert bcrypt.checkpw(b"a\0a", by_bcrypt(b"a").encode())  # what is guarded against
    assert not verify(by_bcrypt(b"a"), "a\0a")


def test_no_text_is_an_error() -> None:
    for stored in (weak("x"), by_bcrypt(b"x")):
        for password in ("\ud800", "\0", "", "\U0001f511" * 256):
            assert not verify(stored, password)
    with pytest.raises(ValueError, match="salt"):
        verify("secret", "secret")


def test_the_libraries_are_loaded_on_use() -> None:
    code = "import sys, registry.service.passwords; print({'argon2', 'bcrypt'} & {*sys.modules})"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "set()\n"
