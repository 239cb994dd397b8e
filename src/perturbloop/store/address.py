"""Addresses of PostgreSQL ledgers: what libpq reads, less the password."""

import re
from typing import Any
from urllib.parse import unquote

from perturbloop.errors import InputError, some

_SCHEMES = ("postgresql", "postgres")
_HIDDEN = re.compile(r"password|secret|scram_\w*key")
"""Options of libpq that hold a secret."""
_SECRET = (
    "The address of a ledger is kept in the campaign's folder and must hold no password; one came (not repeated here). Leave it out, "
    "and put it into ~/.pgpass or PGPASSWORD, where the client looks for it; write an `@` of a name as %40."
)


def parsed(url: str) -> dict[str, str]:
    """Read an address as libpq does.

    Parameters
    ----------
    url
        postgresql://[USER@][HOST[:PORT]]/DATABASE[?OPTION=VALUE&…], with any option that libpq knows.

    Returns
    -------
    Options by libpq's names.

    Raises
    ------
    InputError
        If it is none, holds a password, or names no database. A password is never repeated.
    """
    scheme, _, rest = url.partition("://")
    if scheme not in _SCHEMES or not rest:
        said = f"one of `{scheme}:…` came" if rest and scheme.isalnum() else "something else came"
        msg = f"The ledger needs an address as postgresql://HOST/DATABASE; {said}. Correct it."
        raise InputError(msg)
    names = [
        unquote(name)
        for name, divider, _ in (part.partition("=") for part in rest.partition("?")[2].split("&"))
        if divider
    ]
    if re.search(r":[^@]*@", rest) or any(_HIDDEN.search(name) for name in names):
        raise InputError(_SECRET)
    found = _client().conninfo.conninfo_to_dict
    try:
        options = {name: str(value) for name, value in found(url).items()}
    except _client().ProgrammingError as error:
        asked = f"; its options are {some(names)}" if names else ""
        msg = f"The ledger needs an address as postgresql://HOST/DATABASE[?OPTION=VALUE]; this one cannot be read{asked}. Correct its spelling."
        raise InputError(msg) from error
    if not {"dbname", "service"} & set(options):
        msg = (
            f"The address of a ledger must name its database; `{url}` names none, so that each user would come to another. "
            "Write postgresql://HOST/DATABASE."
        )
        raise InputError(msg)
    return options


def database_exists(options: dict[str, str]) -> bool:
    """Whether a server has the database; taken for granted where the server does not say."""
    client = _client()
    try:
        with client.connect(**options | {"dbname": "postgres"}) as connection:
            asked = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [options["dbname"]])
            return asked.fetchone() is not None
    except client.Error:
        return True


def _client() -> Any:
    try:
        import psycopg
    except ImportError as error:
        msg = "A ledger in PostgreSQL needs psycopg 3; it is not installed. Run `pip install 'perturbloop[postgres]'`."
        raise InputError(msg) from error
    return psycopg
