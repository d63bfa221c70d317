"""Passwords, sessions and the one place where permissions are decided."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from argon2 import PasswordHasher
from sqlalchemy import select, update

from isoline.domain.actor import OWNER, Actor
from isoline.errors import InvalidInput, NotAllowed, NotSignedIn, Unavailable
from isoline.services import accounts
from isoline.store.tables import person, session

PASSWORD = "correct horse battery"


def test_a_right_password_opens_a_session_and_signing_out_ends_it(bench):
    accounts.set_owner_password(bench, OWNER, PASSWORD)
    token = accounts.sign_in(bench, "owner", PASSWORD)
    assert accounts.session_actor(bench, token) == Actor("owner", "owner")
    accounts.sign_out(bench, token)
    assert accounts.session_actor(bench, token) is None


@pytest.mark.parametrize(("name", "password"), [("owner", "wrong password"), ("nobody", PASSWORD), ("", "")])
def test_a_wrong_name_and_a_wrong_password_are_told_alike(bench, name, password):
    accounts.set_owner_password(bench, OWNER, PASSWORD)
    with pytest.raises(NotSignedIn, match="name or password is wrong"):
        accounts.sign_in(bench, name, password)


def test_an_unknown_name_costs_one_verification_as_a_known_one_does(bench_sqlite, monkeypatch):
    accounts.set_owner_password(bench_sqlite, OWNER, PASSWORD)
    accounts.sign_in(bench_sqlite, "owner", PASSWORD)
    done = []
    for name in ("hash", "verify"):
        original = getattr(PasswordHasher, name)
        monkeypatch.setattr(
            PasswordHasher, name, lambda *given, name=name, original=original: done.append(name) or original(*given)
        )
    for name in ("owner", "nobody", "somebody"):
        with pytest.raises(NotSignedIn):
            accounts.sign_in(bench_sqlite, name, "wrong password")
    assert done == ["verify"] * 3


def test_only_two_passwords_are_checked_at_a_time(bench_sqlite, monkeypatch):
    accounts.set_owner_password(bench_sqlite, OWNER, PASSWORD)
    monkeypatch.setattr(accounts, "LONGEST_WAIT_S", 0.05)
    with accounts.HASHING:
        assert accounts.sign_in(bench_sqlite, "owner", PASSWORD)
        with accounts.HASHING, pytest.raises(Unavailable, match="too many"):
            accounts.sign_in(bench_sqlite, "owner", PASSWORD)
    assert accounts.sign_in(bench_sqlite, "owner", PASSWORD)


def test_neither_passwords_nor_tokens_stand_in_the_store(bench):
    accounts.set_owner_password(bench, OWNER, PASSWORD)
    token = accounts.sign_in(bench, "owner", PASSWORD)
    with bench.read() as connection:
        hashes = connection.execute(select(person.c.password_hash)).scalars().all()
        tokens = connection.execute(select(session.c.token_hash)).scalars().all()
    assert all(PASSWORD not in text and text.startswith("$argon2id$") for text in hashes)
    assert token not in tokens


def test_a_new_password_ends_the_sessions_of_the_old_one(bench):
    accounts.set_owner_password(bench, OWNER, PASSWORD)
    token = accounts.sign_in(bench, "owner", PASSWORD)
    accounts.set_owner_password(bench, OWNER, "another good one")
    assert accounts.session_actor(bench, token) is None


def test_a_session_expires(bench):
    accounts.set_owner_password(bench, OWNER, PASSWORD)
    token = accounts.sign_in(bench, "owner", PASSWORD)
    with bench.write() as connection:
        connection.execute(update(session).values(expires=datetime.now(UTC) - timedelta(seconds=1)))
    assert accounts.session_actor(bench, token) is None


def test_a_short_password_is_refused(bench):
    with pytest.raises(InvalidInput, match="9 characters"):
        accounts.set_owner_password(bench, OWNER, "a" * 9)
    assert not accounts.has_owner_password(bench)


def test_a_job_acts_in_the_role_that_its_person_has_now(bench):
    assert accounts.acting_for(bench, "owner") == OWNER
    accounts.set_owner_password(bench, OWNER, PASSWORD, "anna")
    assert accounts.acting_for(bench, "anna") == Actor("anna", "owner")
    with bench.write() as connection:
        connection.execute(update(person).where(person.c.name == "anna").values(role="reader"))
    for name in ("anna", "somebody who left"):
        with pytest.raises(NotAllowed):
            accounts.permit(accounts.acting_for(bench, name), "import")


def test_an_actor_has_no_role_by_default():
    with pytest.raises(TypeError):
        Actor("guest")


def test_only_who_administers_sets_a_password(bench):
    with pytest.raises(NotAllowed, match="may not administer"):
        accounts.set_owner_password(bench, Actor("guest", "viewer"), PASSWORD)
    assert not accounts.has_owner_password(bench)


def test_only_known_roles_may_act():
    accounts.permit(OWNER, "train")
    with pytest.raises(NotAllowed, match="may not train"):
        accounts.permit(Actor("guest", "viewer"), "train")
    with pytest.raises(NotSignedIn):
        accounts.permit(None, "train")
