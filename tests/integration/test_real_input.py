"""Two real catalogues from their source files to a person's list, by the commands people run."""

import io
import json
import statistics
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from ondevice.domain import Behaviour, Kind
from ondevice.encoder.session import Encoder
from ondevice.formats import space as spaces
from ondevice.paths import bundled
from ondevice.privacy import decoder
from ondevice.privacy.randomness import SystemRandomness
from ondevice.profile.steps import step_of
from ondevice.ranking.score import scores
from ondevice.service.behave import log_lines
from ondevice.service.private import released_profile
from ondevice.service.recommend import recommend
from ondevice.service.session import Session
from ondevice.service.streams import ensure_stream
from ondevice.store import Entry, Row, Stream
from server_tools import sources
from server_tools.evaluate.data import Dataset
from server_tools.evaluate.ours import UserScores, score_users
from tests.commands import FILMS, FILMS_FILE, HOUSE, Published, device
from tests.real_input import RealInput

DRAWS = 20
TOP = 20
USERS = 20
SAME = 1e-5


@pytest.fixture(scope="module")
def real(shared_data: Path) -> RealInput:
    return RealInput.read(shared_data)


@pytest.fixture(scope="module")
def homes(published: Published, real: RealInput) -> list[Path]:
    """As many homes of one person as draws: the same behaviours, fresh noise in each."""
    history = real.history(real.clearest.user)
    found = []
    for draw in range(DRAWS):
        home = published.joined(f"draw-{draw}")
        with Session.open(home) as session:
            counts = log_lines(session, io.BytesIO(history), catalogue=FILMS)
        assert (counts.kept, counts.dropped) == (real.clearest.films, 0)
        found.append(home)
    return found


def test_liked_genre_is_twice_as_frequent_as_in_the_catalogue(
    homes: list[Path], real: RealInput
) -> None:
    taste = real.clearest
    usual = real.share(taste.genre, real.genres)
    liked = {real.films[number].item for number in real.likes[taste.user]}
    shares = []
    for home in homes:
        with Session.open(home) as session:
            items = [one.item.id for one in recommend(session, catalogue=FILMS, limit=TOP).items]
            assert session.config.epsilon == 4.0
        assert len(items) == TOP
        assert not liked & set(items)  # the owner has seen these
        shares.append(real.share(taste.genre, items))

    median = statistics.median(shares)
    print(taste, f"share {usual:.3f} in the catalogue, {median:.3f} in the lists")
    assert median >= 2 * usual, (taste, usual, sorted(shares))


def test_stored_release_gives_the_same_list_in_every_process(homes: list[Path]) -> None:
    ask = ("recommend", "--catalogue", FILMS, "-n", TOP, "--json")
    first = device(*ask, home=homes[0])

    assert device(*ask, home=homes[0]) == first
    assert device(*ask, home=homes[1]) != first  # the same behaviours, another draw
    with Session.open(homes[0]) as session:
        here = recommend(session, catalogue=FILMS, limit=TOP).items
    told = [(one["id"], one["score"]) for one in json.loads(first)["items"]]
    assert told == [(one.item.id, one.score) for one in here]


def test_other_catalogue_answers_too(homes: list[Path]) -> None:
    found = json.loads(
        device("search", "solar panels", "--catalogue", HOUSE, "--json", home=homes[0])
    )
    assert any("solar" in json.dumps(item).lower() for item in found["items"][:5])
    assert json.loads(device("recommend", "--catalogue", HOUSE, "--json", home=homes[0]))["items"]


def test_installed_bundle_scores_as_the_evaluator(
    published: Published, real: RealInput, shared_data: Path
) -> None:
    """Given the rows that the evaluator's devices released, a real home scores as they do."""
    space = spaces.read(bundled("space"))
    matched = {film.item for film in real.films.values() if film.item}
    items = tuple(
        item for item in sources.read(str(shared_data / FILMS_FILE)) if item.id in matched
    )
    place = {item.id: row for row, item in enumerate(items)}
    users = {}
    for user, likes in real.likes.items():
        liked = [real.films[number].item for number in likes]
        users[user] = tuple(dict.fromkeys(place[item] for item in liked if item is not None))
    dataset = Dataset(name="films", items=items, users=users)
    vectors = Encoder.load(bundled("encoder")).encode(list(dataset.texts))
    evaluated = list(
        score_users(dataset, space, vectors=vectors, randomness=SystemRandomness(), users=USERS)
    )

    assert len(evaluated) == USERS
    for one in evaluated:
        assert one.rows
        told = replayed(one, published.joined(f"user-{one.user}"), [item.id for item in items])
        assert np.abs(told - one.scores).max() <= SAME


def replayed(one: UserScores, home: Path, items: Sequence[str]) -> np.ndarray:
    """Record a device's behaviours, let out its very rows, and score `items` in its home."""
    released = iter(one.rows)

    def make_row(stream: Stream, inputs: Sequence[tuple[int, ...]], state: bytes | None) -> Row:
        parameters = stream.parameters
        y = next(released)
        before = (
            decoder.StreamState.from_bytes(parameters, state)
            if state is not None
            else decoder.StreamState.start(parameters)
        )
        return Row(y=y, state=decoder.advance(parameters, before, y).to_bytes(parameters))

    with Session.open(home) as session:
        catalogue = session.catalogue(FILMS)
        stream = ensure_stream(session, catalogue.space)
        units = catalogue.unit([catalogue.records.row(item) for item in one.items])
        session.store.record_many(
            [
                Entry(
                    behaviour=Behaviour(
                        text=item, kind=Kind.LIKE, at=stream.opened, item=item, catalogue=FILMS
                    ),
                    stream=stream,
                    step=step_of(unit, session.config.weights[Kind.LIKE]),
                )
                for item, unit in zip(one.items, units, strict=True)
            ],
            make_row,
        )
        profile = released_profile(session, catalogue.space)
        assert profile.steps == len(one.rows)
        found = scores(
            profile.u,
            catalogue.codes,
            catalogue.inverse_norms,
            catalogue.bias,
            profile.temperature,
        )
        return np.asarray(found[[catalogue.records.row(item) for item in items]])
