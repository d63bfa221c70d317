"""Passwords, sessions and the one place where permissions are decided."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from isoline.domain.actor import OWNER, Actor
from isoline.errors import InvalidInput, NotAllowed, NotSignedIn
from isoline.services import accounts
from isoline.store.tables import person, session

PASSWORD = "correct horse battery"


def test_a_right_password_opens_a_session_and_signing_out_ends_it(bench):
    accounts.set_owner_password(bench, PASSWORD)
    token = accounts.sign_in(bench, "owner", PASSWORD)
    assert accounts.session_actor(bench, token) == Actor("owner", "owner")
    accounts.sign_out(bench, token)
    assert accounts.session_actor(bench, token) is None


@pytest.mark.parametrize(("name", "password"), [("owner", "wrong password"), ("nobody", PASSWORD), ("", "")])
def test_a_wrong_name_and_a_wrong_password_are_told_alike(bench, name, password):
    accounts.set_owner_password(bench, PASSWORD)
    with pytest.raises(NotSignedIn, match="name or password is wrong"):
        accounts.sign_in(bench, name, password)


def test_neither_passwords_nor_tokens_stand_in_the_store(bench):
    accounts.set_owner_password(bench, PASSWORD)
    token = accounts.sign_in(bench, "owner", PASSWORD)
    with bench.read() as connection:
        hashes = connection.execute(select(person.c.password_hash)).scalars().all()
        tokens = connection.execute(select(session.c.token_hash)).scalars().all()
    assert all(PASSWORD not in text and text.startswith("$argon2id$") for text in hashes)
    assert token not in tokens


def test_a_new_password_ends_the_sessions_of_the_old_one(bench):
    accounts.set_owner_password(bench, PASSWORD)
    token = accounts.sign_in(bench, "owner", PASSWORD)
    accounts.set_owner_password(bench, "another good one")
    assert accounts.session_actor(bench, token) is None


def test_a_session_expires(bench):
    accounts.set_owner_password(bench, PASSWORD)
    token = accounts.sign_in(bench, "owner", PASSWORD)
    with bench.write() as connection:
        connection.execute(update(session).values(expires=datetime.now(UTC) - timedelta(seconds=1)))
    assert accounts.session_actor(bench, token) is None


def test_a_short_password_is_refused(bench):
    with pytest.raises(InvalidInput, match="9 characters"):
        accounts.set_owner_password(bench, "a" * 9)
    assert not accounts.has_owner_password(bench)


def test_only_known_roles_may_act():
    accounts.permit(OWNER, "train")
    with pytest.raises(NotAllowed, match="may not train"):
        accounts.permit(Actor("guest", "viewer"), "train")
    with pytest.raises(NotSignedIn):
        accounts.permit(None, "train")
