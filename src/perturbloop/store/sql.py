"""The ledger in a database, through SQLAlchemy Core; the statements are those that SQLite and PostgreSQL share."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any, final

import pandas as pd
from sqlalchemy import Connection, Engine, Table, func, select
from sqlalchemy.dialects import postgresql, sqlite

from perturbloop import schema
from perturbloop.errors import StoreError, some
from perturbloop.store import tables
from perturbloop.store.base import Campaign, CampaignStore, Input, Round, Step, Target, frozen_hash
from perturbloop.store.database import Database, Rows, rows_of
from perturbloop.store.files import contents
from perturbloop.store.nouns import noun


@final
class SqlStore(CampaignStore):
    """The ledger in one database; each verb is one transaction."""

    def __init__(self, engine: Engine, database: Database) -> None:
        self._engine = engine
        self._writer = engine.execution_options(writes=True)
        self._database = database

    def hold(self) -> None:
        """Keep other machines out."""
        self._database.hold(self._engine)

    def campaign(self) -> Campaign:
        """Return the campaign."""
        with self._read() as connection:
            rows = connection.execute(select(tables.campaign)).mappings()
            row = next((noun(Campaign, row) for row in rows), None)
        if row is None:
            raise StoreError(self._database.damaged("it holds no campaign"))
        return row

    def save_config(self, config: Mapping[str, Any]) -> None:
        """Replace the campaign's config."""
        with self._write() as connection:
            connection.execute(tables.campaign.update().values(config=dict(config)))

    def open_round(self) -> Round:
        """Return the unfinished round, or open the next."""
        with self._write() as connection:
            known = _rounds(connection)
            if known and known[-1].finished is None:
                return known[-1]
            opened = Round(known[-1].number + 1 if known else 0, _now())
            connection.execute(tables.round_.insert().values(asdict(opened)))
        return opened

    def finish_round(self, number: int) -> Round:
        """Mark a round as finished."""
        with self._write() as connection:
            _require_round(connection, number)
            found = tables.round_.c.number == number
            connection.execute(tables.round_.update().where(found).values(finished=_now()))
            return _rounds(connection)[number]

    def rounds(self) -> tuple[Round, ...]:
        """All rounds, first to last."""
        with self._read() as connection:
            return _rounds(connection)

    def add_input(self, entry: Input) -> None:
        """Record a file that was read."""
        with self._write() as connection:
            row = asdict(entry) | {"added": _now(), "place": _next_place(connection, tables.input_)}
            _upsert(connection, tables.input_, row, keep=("added", "place"))

    def inputs(self) -> tuple[Input, ...]:
        """All files that were read."""
        with self._read() as connection:
            rows = connection.execute(select(tables.input_).order_by(tables.input_.c.place)).mappings()
            return tuple(noun(Input, row) for row in rows)

    def start_step(self, number: int, name: str, *, key: str, config: Mapping[str, Any]) -> Step:
        """Record that a step begins."""
        with self._write() as connection:
            _require_round(connection, number)
            place = _next_place(connection, tables.step)
            step = Step(number, name, key, _now(), None, dict(config), {}, {}, place)
            _upsert(connection, tables.step, asdict(step))
        return step

    def finish_step(self, step: Step, *, outputs: Mapping[str, str]) -> Step:
        """Record that a step is done, once its outputs exist."""
        held = {role: contents(self._database.folder / path) for role, path in outputs.items()}
        missing = [outputs[role] for role, found in held.items() if found is None]
        if missing:
            msg = (
                f"Step `{step.name}` cannot be recorded as finished: these outputs do not exist: {some(missing)}. "
                "Write them first; paths are relative to the campaign folder."
            )
            raise StoreError(msg)
        whole = {role: found for role, found in held.items() if found is not None}
        done = replace(step, finished=_now(), outputs=dict(outputs), contents=whole)
        with self._write() as connection:
            _require_round(connection, step.round)
            _upsert(connection, tables.step, asdict(done))
        return done

    def last_step(self, name: str, *, key: str) -> Step | None:
        """Return the step of this name that began last, if it has this key."""
        last = next((step for step in reversed(self.steps()) if step.name == name), None)
        return last if last is not None and last.key == key else None

    def finished_step(self, name: str, *, key: str) -> Step | None:
        """Return the last step of this name, if it has this key, is finished and its outputs are as it left them."""
        last = self.last_step(name, key=key)
        return last if last is not None and last.finished is not None and self._is_whole(last) else None

    def _is_whole(self, step: Step) -> bool:
        """Whether the outputs of a step hold what they held when it was finished; of old ledgers, whether they exist."""
        held = {role: contents(self._database.folder / path) for role, path in step.outputs.items()}
        return all(
            found is not None and found == step.contents.get(role, found) for role, found in held.items()
        )

    def steps(self, number: int | None = None) -> tuple[Step, ...]:
        """Steps of one round, or of all."""
        query = select(tables.step).order_by(tables.step.c.place)
        if number is not None:
            query = query.where(tables.step.c.round == number)
        with self._read() as connection:
            return tuple(noun(Step, row) for row in connection.execute(query).mappings())

    def save_scores(self, number: int, metrics: pd.DataFrame) -> None:
        """Record METRICS rows of a round."""
        rows = schema.METRICS.checked(metrics)
        self._replace(tables.score, number, rows.assign(place=range(len(rows))))

    def scores(self) -> pd.DataFrame:
        """METRICS rows of all rounds."""
        return self._frame(tables.score, schema.METRICS, ["round", "place"])

    def freeze_targets(self, targets: Iterable[Target]) -> tuple[Target, ...]:
        """Record how targets may be used, for ever."""
        asked = list(targets)
        with self._write() as connection:
            known = _targets(connection)
            _require_same_folds(asked, known)
            old = {(one.gene_id, one.modality) for one in known}
            new = list(
                dict.fromkeys(
                    replace(one, frozen_hash="") for one in asked if (one.gene_id, one.modality) not in old
                )
            )
            stamp = {"frozen_hash": frozen_hash(new), "frozen": _now()}
            if new:
                connection.execute(tables.target.insert(), [asdict(one) | stamp for one in new])
        return self.targets()

    def targets(self) -> tuple[Target, ...]:
        """All measured targets, checked against their hashes."""
        with self._read() as connection:
            found = _targets(connection)
        for one_hash in {one.frozen_hash for one in found}:
            if frozen_hash(one for one in found if one.frozen_hash == one_hash) != one_hash:
                state = "the held-out targets are not those that were frozen"
                raise StoreError(self._database.damaged(state))
        return found

    def save_proposals(self, number: int, proposals: pd.DataFrame) -> None:
        """Record PROPOSALS rows of a round."""
        self._replace(tables.proposal, number, schema.PROPOSALS.checked(proposals))

    def proposals(self) -> pd.DataFrame:
        """PROPOSALS rows of all rounds."""
        return self._frame(tables.proposal, schema.PROPOSALS, ["round", "policy", "place"])

    def save_trials(self, trials: pd.DataFrame) -> None:
        """Record TRIALS rows."""
        rows = _plain_rows(schema.TRIALS.checked(trials))
        with self._write() as connection:
            for row in rows:
                _upsert(connection, tables.trial, row)

    def trials(self) -> pd.DataFrame:
        """TRIALS rows, by batch and place."""
        names = schema.TRIALS.names
        query = select(*(tables.trial.c[name] for name in names)).order_by(
            tables.trial.c.batch, tables.trial.c.place
        )
        with self._read() as connection:
            rows = [tuple(row) for row in connection.execute(query)]
            frame = pd.DataFrame(rows, columns=pd.Index(names))
            times = {name: pd.to_datetime(frame[name], utc=True) for name in ("proposed", "told")}
            return frame.astype({"predicted": float, "shift": float, "hit": "boolean"}).assign(**times)

    def __enter__(self) -> "SqlStore":
        return self

    def rows(self) -> Rows:
        """Every row of every table, as it is."""
        with self._read() as connection:
            return rows_of(connection)

    def moved_to(self) -> str | None:
        """Return where the ledger was moved to, if it was."""
        with self._read() as connection:
            place = connection.execute(select(tables.campaign.c.moved_to)).scalar()
            if not isinstance(place, str | None):
                msg = f"a cell of `moved_to` holds {place!r}"
                raise ValueError(msg)
        return place

    def mark(self, moved_to: str | None) -> None:
        """Write down where the ledger was moved to, after which it is not opened here any more; or nothing, that it is here."""
        with self._write() as connection:
            connection.execute(tables.campaign.update().values(moved_to=moved_to))

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        with self._database.spoken(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        with self._database.spoken(), self._writer.begin() as connection:
            yield connection

    def _replace(self, table: Table, number: int, rows: pd.DataFrame) -> None:
        values = _plain_rows(rows.assign(round=number))
        with self._write() as connection:
            _require_round(connection, number)
            connection.execute(table.delete().where(table.c.round == number))
            if values:
                connection.execute(table.insert(), values)

    def _frame(self, table: Table, columns: schema.Table, order: list[str]) -> pd.DataFrame:
        names = ["round", *columns.names]
        query = select(*(table.c[name] for name in names)).order_by(*(table.c[name] for name in order))
        with self._read() as connection:
            rows = connection.execute(query).all()
            frame = pd.DataFrame([tuple(row) for row in rows], columns=pd.Index(names))
            return frame.astype(
                {
                    name: float
                    for name in ("value", "ci_low", "ci_high", "benefit", "probability", "shift")
                    if name in names
                }
            )


def _plain_rows(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as plain values by column, `None` where one is missing."""
    filled = rows.astype(object)
    return [
        dict(zip(map(str, filled.columns), row, strict=True))
        for row in filled.where(filled.notna(), None).itertuples(index=False, name=None)
    ]


def _rounds(connection: Connection) -> tuple[Round, ...]:
    rows = connection.execute(select(tables.round_).order_by(tables.round_.c.number)).mappings()
    return tuple(noun(Round, row) for row in rows)


def _targets(connection: Connection) -> tuple[Target, ...]:
    query = select(tables.target).order_by(tables.target.c.gene_id, tables.target.c.modality)
    rows = connection.execute(query).mappings()
    return tuple(noun(Target, row) for row in rows)


def _next_place(connection: Connection, table: Table) -> int:
    return int(connection.execute(select(func.coalesce(func.max(table.c.place), -1) + 1)).scalar_one())


def _require_round(connection: Connection, number: int) -> None:
    known = [entry.number for entry in _rounds(connection)]
    if number not in known:
        msg = f"Round {number} does not exist; the campaign has {some(known)}. Open it with `open_round`."
        raise StoreError(msg)


def _require_same_folds(asked: list[Target], known: Iterable[Target]) -> None:
    folds = {(one.gene_id, one.modality): one.fold for one in known}
    moved = []
    for one in asked:
        fold = folds.setdefault((one.gene_id, one.modality), one.fold)
        if fold != one.fold:
            moved.append(f"{one.gene_id} ({one.modality}): fold {fold}, asked for {one.fold}")
    if moved:
        msg = (
            "A target stays in the fold it was frozen in, held out or spent, for ever; "
            f"these would move: {some(moved)}. Keep their folds and split only new targets."
        )
        raise StoreError(msg)


def _upsert(
    connection: Connection, table: Table, row: Mapping[str, Any], *, keep: tuple[str, ...] = ()
) -> None:
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = insert(table).values(row)
    keys = [column.name for column in table.primary_key]
    changed = {name: statement.excluded[name] for name in row if name not in {*keys, *keep}}
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=changed))


def _now() -> datetime:
    return datetime.now(UTC)
