"""The schema, as a list of named steps that only ever grows. Rules that matter are constraints.

Two views are two sets of tables: `ledger`, `released`, `decoders`, `carryovers`, `anchors` and
`emitted` are what the shared view may know; `behaviours`, `steps`, `waiting`, `older` and
`feedback` are the owner's alone.
"""

from ondevice.errors import IntegrityError
from ondevice.store import emitted
from ondevice.store.connection import Connection

_FIRST = """
create table behaviours (
    id integer primary key autoincrement,        -- an id is never given out twice
    identity blob not null unique check (length(identity) = 32),
    text text not null check (length(text) > 0),
    kind text not null
        check (kind in ('view', 'like', 'purchase', 'search', 'listen', 'use', 'dislike')),
    at integer not null,                         -- microseconds since 1970, UTC
    item text,
    catalogue text,
    source text not null check (length(source) > 0),
    vector blob check (length(vector) between 4 and 16384 and length(vector) % 4 = 0)
) strict;
create index behaviours_of_catalogue on behaviours (catalogue, item);

create table ledger (
    seq integer primary key check (seq >= 1),
    body blob not null,
    digest blob not null unique check (length(digest) = 32),
    mac blob not null check (length(mac) = 32)
) strict;
create trigger ledger_grows before insert on ledger
when new.seq <> (select coalesce(max(seq), 0) + 1 from ledger)
begin select raise(abort, 'a ledger entry is out of order'); end;
create trigger ledger_stays before update on ledger
begin select raise(abort, 'a ledger entry never changes'); end;
create trigger ledger_keeps before delete on ledger
begin select raise(abort, 'a ledger entry is never deleted'); end;

create table released (
    stream integer not null references ledger (seq),
    t integer not null check (t >= 1),
    y blob not null check (length(y) > 0 and length(y) % 8 = 0),
    primary key (stream, t)
) strict, without rowid;
create trigger released_grows before insert on released
when new.t <> (select coalesce(max(t), 0) + 1 from released where stream = new.stream)
begin select raise(abort, 'a released row is out of order'); end;
create trigger released_stays before update on released
begin select raise(abort, 'what was released never changes'); end;
create trigger released_keeps before delete on released
begin select raise(abort, 'what was released stays released'); end;

create table decoders (
    stream integer primary key references ledger (seq),
    t integer not null check (t >= 1),
    state blob not null,
    foreign key (stream, t) references released (stream, t)
) strict;

create table steps (
    stream integer not null,
    t integer not null,
    x blob check (length(x) > 0 and length(x) % 2 = 0),  -- null: forgotten, all zeros
    behaviour integer references behaviours (id) on delete set null,
    primary key (stream, t),
    unique (behaviour, stream),                  -- a behaviour enters a stream once
    foreign key (stream, t) references released (stream, t)
) strict, without rowid;
create trigger steps_forget after update of behaviour on steps
when new.behaviour is null
begin update steps set x = null where stream = new.stream and t = new.t; end;

create table feedback (
    id integer primary key autoincrement,
    catalogue text not null check (length(catalogue) > 0),
    item text not null check (length(item) > 0),
    verdict text not null check (verdict in ('like', 'less', 'hide', 'open', 'dwell', 'undo')),
    seconds real check (seconds >= 0),
    at integer not null,
    behaviour integer references behaviours (id) on delete set null,
    undoes integer unique references feedback (id),
    check ((verdict = 'undo') = (undoes is not null)),
    check ((verdict = 'dwell') = (seconds is not null))
) strict;
create index feedback_of_item on feedback (catalogue, item);
create trigger feedback_stays
before update of id, catalogue, item, verdict, seconds, at, undoes on feedback
begin select raise(abort, 'a verdict never changes: undo it'); end;

create table emitted (
    catalogue text not null check (length(catalogue) > 0),
    item text not null check (length(item) > 0),
    at integer not null,
    primary key (catalogue, item)
) strict, without rowid;
"""

_PUBLIC_TIMES = """
create table steps_again (
    stream integer not null,
    t integer not null,
    x blob check (length(x) > 0 and length(x) % 2 = 0),  -- null: forgotten, or summed in `older`
    behaviour integer references behaviours (id) on delete set null,  -- null: forgotten
    unique (behaviour, stream),                  -- a behaviour enters a stream once
    foreign key (stream, t) references released (stream, t)
) strict;
insert into steps_again select stream, t, x, behaviour from steps;
drop table steps;
alter table steps_again rename to steps;
create index steps_of_row on steps (stream, t);
create index steps_forgotten on steps (stream) where behaviour is null;

create table waiting (                           -- recorded, not released: its row is not due yet
    stream integer not null references ledger (seq),
    t integer not null check (t >= 1),           -- the row it will enter
    behaviour integer not null references behaviours (id) on delete cascade,
    x blob not null check (length(x) > 0 and length(x) % 2 = 0),
    primary key (stream, t, behaviour),
    unique (behaviour, stream)
) strict, without rowid;
create trigger waiting_for_a_row_to_come before insert on waiting
when exists (select 1 from released where stream = new.stream and t >= new.t)
begin select raise(abort, 'what was charged never reopens'); end;
create trigger waiting_never_twice before insert on waiting
when exists (select 1 from steps where stream = new.stream and behaviour = new.behaviour)
begin select raise(abort, 'a behaviour enters a stream once'); end;

create table older (                             -- of each stream, the sum of its oldest steps
    stream integer primary key references ledger (seq),
    t integer not null check (t >= 0),           -- steps up to this row are in it, decayed to it
    count integer not null check (count >= 0),
    total blob not null check (length(total) % 8 = 0)
) strict;

create trigger steps_forget after update of behaviour on steps
when new.behaviour is null
begin
    update older set count = 0, total = zeroblob(length(total))  -- a sum takes nothing back
    where old.x is null and old.behaviour is not null and stream = new.stream;
    update steps set x = null where rowid = new.rowid;
end;

create table carryovers (                        -- a release that goes on after its stream ended
    stream integer primary key references ledger (seq),
    after integer not null unique references ledger (seq) check (after < stream),
    map blob check (length(map) % 8 = 0)         -- (d, d before) f64; null: the same space
) strict;
create table anchors (                           -- public item vectors that tie spaces together
    space text not null check (length(space) = 64),
    catalogue text not null,
    item text not null,
    vector blob not null check (length(vector) > 0 and length(vector) % 4 = 0),
    primary key (space, catalogue, item)
) strict, without rowid;
"""

_BY_TIME = """
create index behaviours_by_time on behaviours (at, id);
create index behaviours_by_source on behaviours (source);
"""

MIGRATIONS: tuple[tuple[str, str], ...] = (
    ("first tables", _FIRST),
    ("rows at public times", _PUBLIC_TIMES),
    ("what was shown, picked and muted", emitted.SCHEMA),
    ("the history by time and by source", _BY_TIME),
)

_TABLE = """
create table if not exists migrations (
    position integer primary key, name text not null unique
) strict
"""


def pending(connection: Connection) -> tuple[tuple[str, str], ...]:
    """Return the migrations that `connection` has not seen.

    Raises:
        IntegrityError: it has seen some that this program doesn't know.
    """
    exists = connection.row("select 1 from sqlite_schema where name = 'migrations'")
    done = connection.rows("select name from migrations order by position") if exists else []
    names = [name for name, _ in MIGRATIONS]
    if [name for (name,) in done] != names[: len(done)]:
        raise IntegrityError(
            "the store was written by another version of ondevice-rec",
            hint="upgrade ondevice-rec to the version that wrote it, or newer",
        )
    return MIGRATIONS[len(done) :]


def migrate(connection: Connection) -> None:
    """Bring the schema up to date, in one transaction. Doing it again changes nothing."""
    with connection.transaction():
        connection.run(_TABLE)
        for name, script in pending(connection):
            connection.run(script)
            connection.run("insert into migrations (name) values (?)", name)
