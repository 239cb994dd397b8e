"""The routes: one line each."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.convertors import Convertor, register_url_convertor
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from perturbloop.web.access import Access
from perturbloop.web.guard import Guard
from perturbloop.web.jobs import PROGRAM, Jobs
from perturbloop.web.pages import batch, record
from perturbloop.web.pages.doing import doing
from perturbloop.web.pages.evidence import evidence
from perturbloop.web.pages.figure import figure
from perturbloop.web.pages.gene import gene, lookup
from perturbloop.web.pages.overview import overview
from perturbloop.web.pages.ranking import ranking, volcano
from perturbloop.web.served import Served
from perturbloop.web.uploads import Uploads
from perturbloop.web.view import Load, shown
from perturbloop.web.writing import done


def application(folder: Path, access: Access, *, program: Sequence[str] = PROGRAM) -> Starlette:
    """Make the server of a campaign.

    Parameters
    ----------
    folder
        Campaign folder.
    access
        Whom it lets in.
    program
        What commands are typed after, to run them in a process of their own.
    """
    app = Starlette(
        routes=[
            *_twins("/overview", overview, root=True, keeps=True),
            *_twins("/evidence", evidence, keeps=True),
            Route("/ranking/points.json", volcano),
            *_twins("/ranking", ranking, keeps=True),
            Route("/gene", shown(lookup)),
            *_twins("/gene/{symbol:path}", gene, keeps=True),
            Route("/batch/plate.{ending:sheet}", batch.plate),
            *_twins("/batch", batch.batch),
            Route("/do/ask", done(batch.ask, batch.again), methods=["POST"]),
            Route("/do/send", done(batch.send, batch.again), methods=["POST"]),
            Route("/do/trials", done(batch.mark, batch.again), methods=["POST"]),
            *_twins("/record", record.record),
            Route("/do/upload", done(record.upload, record.upload_again), methods=["POST"]),
            Route("/do/record", done(record.confirm, record.confirm_again), methods=["POST"]),
            Route("/do/play", done(record.play, record.play_again), methods=["POST"]),
            *_twins("/doing", doing),
            Route("/figure/{page}/{place:place}.svg", figure),
            Mount(
                "/static",
                StaticFiles(packages=[("perturbloop.web", "static"), ("perturbloop.report", "static")]),
            ),
        ],
        middleware=[
            Middleware(Guard, access=access),
            Middleware(GZipMiddleware, minimum_size=2048, compresslevel=4),
        ],
        lifespan=_until_the_end,
    )
    app.state.served, app.state.access = Served(folder), access
    app.state.jobs, app.state.uploads = Jobs(app.state.served, program), Uploads()
    return app


@asynccontextmanager
async def _until_the_end(app: Starlette) -> AsyncIterator[None]:
    """What a server started ends with it."""
    yield
    app.state.jobs.close()
    app.state.uploads.close()


def _twins(path: str, load: Load, *, root: bool = False, keeps: bool = False) -> list[Route]:
    """A page at its address, and the same for machines."""
    page = shown(load, keeps=keeps)
    return [*([Route("/", page)] if root else []), Route(f"{path}.{{form:form}}", page), Route(path, page)]


class Form(Convertor[str]):
    """End of the address of a twin: a gene may be called `AC012.1`."""

    regex = "json|csv"

    def convert(self, value: str) -> str:
        """Take it as it stands."""
        return value

    def to_string(self, value: str) -> str:
        """Write it as it stands."""
        return value


class Sheet(Form):
    """End of the address of a file to keep."""

    regex = "csv|xlsx"


class Place(Convertor[int]):
    """Number of a figure."""

    regex = "[0-9]{1,4}"

    def convert(self, value: str) -> int:
        """Take the number."""
        return int(value)

    def to_string(self, value: int) -> str:
        """Write the number."""
        return str(value)


register_url_convertor("form", Form())
register_url_convertor("sheet", Sheet())
register_url_convertor("place", Place())
