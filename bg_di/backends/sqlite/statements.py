"""The SQL of the store. The states in WHERE are literals, so that the partial indexes serve them."""

from dataclasses import fields
from typing import Final

from bg_di.backends.messages import Entry

# Of whom a unique key says that another task is not to be accepted.
_HOLDS: Final = "({0}state IN ('accepted', 'running') OR ({0}state = 'succeeded' AND {0}unique_until > :now))"
_HOLDS_THE_KEY: Final = f"""
    application = :application AND name = :name AND unique_key = :unique_key AND {_HOLDS.format("")}
"""

# One statement, so that it looks and writes under one lock, also in a transaction that began with reading.
ACCEPT: Final = f"""
    INSERT INTO bg_di_tasks
        (task_id, application, name, version, body, added_at, due_at, since, unique_key, unique_until)
    SELECT :task_id, :application, :name, :version, :body, :now, :due_at, :now, :unique_key, :unique_until
    WHERE :unique_key IS NULL OR NOT EXISTS (SELECT 1 FROM bg_di_tasks WHERE {_HOLDS_THE_KEY})
    ON CONFLICT (task_id) DO NOTHING
"""  # noqa: S608  # of constants

STANDS_FOR: Final = f"""
    SELECT task_id FROM bg_di_tasks WHERE task_id = :task_id OR ({_HOLDS_THE_KEY})
    ORDER BY task_id = :task_id DESC
"""  # noqa: S608  # of constants

# So that whoever was told of the task that was not accepted can ask for it.
ALIAS: Final = """
    INSERT INTO bg_di_aliases (task_id, application, stands_for, since)
    VALUES (:task_id, :application, :stands_for, :now) ON CONFLICT DO NOTHING
"""

# The task of an id: itself, or the one that stands for it.
_MEANT: Final = """
    application = :application AND task_id = coalesce(
        (SELECT task_id FROM bg_di_tasks WHERE task_id = :task_id),
        (SELECT stands_for FROM bg_di_aliases WHERE task_id = :task_id)
    )
"""

CLAIM: Final = """
    UPDATE bg_di_tasks
    SET state = 'running', since = :now, owner = :owner, lease_until = :now + :lease,
        token = token + 1, deliveries = deliveries + 1
    WHERE seq IN (
        SELECT seq FROM bg_di_tasks
        WHERE application = :application AND state = 'accepted' AND due_at <= :now
            AND name IN (SELECT value FROM json_each(:names)) AND version <= :version
        ORDER BY due_at, seq LIMIT :slots
    )
    RETURNING seq, due_at, task_id, token, name, version, body, added_at, due_at, attempt, deliveries
"""

NEXT_DUE: Final = """
    SELECT due_at FROM bg_di_tasks
    WHERE application = :application AND state = 'accepted' AND due_at > :now
        AND name IN (SELECT value FROM json_each(:names)) AND version <= :version
    ORDER BY due_at LIMIT 1
"""

TAKE_BACK: Final = """
    UPDATE bg_di_tasks
    SET state = CASE WHEN deliveries >= :max_deliveries THEN 'dead' ELSE 'accepted' END,
        since = :now, owner = NULL, lease_until = NULL,
        reason = coalesce(reason || '; ', '') || 'delivery ' || deliveries || ' was lost: its owner ' || owner
            || CASE WHEN owner IN (SELECT value FROM json_each(:dead)) THEN ' died' ELSE ' let its lease expire' END
    WHERE application = :application AND state = 'running'
        AND (lease_until <= :expired OR owner IN (SELECT value FROM json_each(:dead)))
    RETURNING seq
"""

KNOW: Final = """
    INSERT INTO bg_di_names (application, name, version, known_at)
    SELECT :application, value, :version, :now FROM json_each(:names) WHERE true
    ON CONFLICT DO UPDATE SET known_at = max(known_at, excluded.known_at)
"""

BURY_UNKNOWN: Final = """
    UPDATE bg_di_tasks
    SET state = 'dead', since = :now, reason = 'no worker knows a task of this name and version'
    WHERE application = :application AND state = 'accepted' AND due_at <= :before
        AND NOT EXISTS (
            SELECT 1 FROM bg_di_names AS known
            WHERE known.application = bg_di_tasks.application AND known.name = bg_di_tasks.name
                AND known.version >= bg_di_tasks.version AND known_at > :before
        )
    RETURNING seq
"""

RENEW: Final = """
    UPDATE bg_di_tasks SET lease_until = :now + :lease
    WHERE task_id = :task_id AND token = :token AND state = 'running'
"""

# What a delivery's end makes of the task: `{}` is the change.
_END: Final = """
    UPDATE bg_di_tasks SET owner = NULL, lease_until = NULL, since = :now, {}
    WHERE task_id = :task_id AND token = :token AND state = 'running'
"""
ACKNOWLEDGE: Final = _END.format("state = 'succeeded', attempt = :attempt, reason = NULL")
RESCHEDULE: Final = _END.format(
    "state = 'accepted', due_at = :at, attempt = :attempt, deliveries = 0, reason = :reason"
)
RELEASE: Final = _END.format("state = 'accepted', deliveries = deliveries - 1")
BURY: Final = _END.format("state = 'dead', attempt = :attempt, reason = :reason")

RELEASE_ALL: Final = """
    UPDATE bg_di_tasks
    SET state = 'accepted', since = :now, owner = NULL, lease_until = NULL, deliveries = deliveries - 1
    WHERE application = :application AND state = 'running' AND owner = :owner
        AND task_id NOT IN (SELECT value FROM json_each(:keep))
"""

CANCEL: Final = f"""
    UPDATE bg_di_tasks SET state = 'cancelled', since = :now
    WHERE {_MEANT} AND state = 'accepted'
"""  # noqa: S608  # of constants

RETRY: Final = f"""
    UPDATE bg_di_tasks
    SET state = 'accepted', since = :now, added_at = :now, due_at = :now, attempt = 0, deliveries = 0, reason = NULL
    WHERE {_MEANT} AND state = 'dead'
        AND NOT EXISTS (
            SELECT 1 FROM bg_di_tasks AS other
            WHERE other.application = bg_di_tasks.application AND other.name = bg_di_tasks.name
                AND other.unique_key = bg_di_tasks.unique_key AND {_HOLDS.format("other.")}
        )
"""  # noqa: S608  # of constants

PRUNE: Final = """
    DELETE FROM bg_di_tasks WHERE seq IN (
        SELECT seq FROM bg_di_tasks
        WHERE application = :application AND state IN ('succeeded', 'cancelled') AND since < :before
            AND (state = 'cancelled' OR unique_until IS NULL OR unique_until <= :now)
        LIMIT :limit
    )
"""

PRUNE_DEAD: Final = """
    DELETE FROM bg_di_tasks WHERE seq IN (
        SELECT seq FROM bg_di_tasks
        WHERE application = :application AND state = 'dead' AND since < :before LIMIT :limit
    )
"""

COUNTS: Final = """
    SELECT
        (SELECT count(*) FROM bg_di_tasks WHERE application = :application AND state = 'accepted'),
        (SELECT count(*) FROM bg_di_tasks WHERE application = :application AND state = 'running'),
        (SELECT count(*) FROM bg_di_tasks WHERE application = :application AND state = 'dead'),
        (SELECT min(due_at) FROM bg_di_tasks WHERE application = :application AND state = 'accepted')
"""

OWNERS: Final = "SELECT DISTINCT owner FROM bg_di_tasks WHERE state = 'running'"

_ENTRY: Final = ", ".join(field.name for field in fields(Entry))
ENTRY: Final = f"SELECT {_ENTRY} FROM bg_di_tasks"  # noqa: S608  # of constants
ONE: Final = f"{ENTRY} WHERE {_MEANT}"
SEVERAL: Final = f"""
    {ENTRY} WHERE application = :application AND (:state IS NULL OR state = :state) ORDER BY seq DESC LIMIT :limit
"""
SEQUENCE: Final = f"{ENTRY} WHERE seq IN (SELECT value FROM json_each(:sequence)) ORDER BY seq"  # noqa: S608  # of constants
