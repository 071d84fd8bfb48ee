"""Labels on their way from the database to the store of histories, beside the calls, in the one worker that leads.

    labels in the order of their time -> what was sent of their transactions -> a few at a time, with the gate held

Read again are always those of ten minutes before the newest: a file of labels is in the database later than the time
it says, and a transaction may be logged after its label. Applying a label again changes nothing.
"""

import logging
import threading
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from fraud.errors import FraudError, HistoryError, RefusedHistoryError
from fraud.history.batch import Batch
from fraud.history.labels import OVERLAP_SECONDS, Mark, Marks, reader
from fraud.history.layout import MICROSECONDS, Layout
from fraud.history.sweep import AT_ONCE
from fraud.rows import unpack
from monitoring.history_metrics import HistoryMetrics
from monitoring.storage.labelled import After, Label, Labelled, Sent
from serving.history.keeper import Keeper

if TYPE_CHECKING:
    from fraud.history.stores import AnyStore

LOG = logging.getLogger("bentoml.fraud")
EVERY_SECONDS = 2.0
MOST_SHARE = 0.1
"""Of the time, that reading again may take: where it takes long, it is done more seldom."""
PAGE = 200
_REMEMBERED = 200_000
"""Labels of which it is known that nothing is to be done about them."""
_WAIT_SECONDS = 1.0
_TOLD_SECONDS = 60.0


class LabelsToStore:
    """In a thread of its own, from ``start`` to ``close``. ``time_column``: the one that says when."""

    def __init__(
        self,
        layouts: Sequence[Layout],
        time_column: str,
        key_fingerprint: str,
        source: Labelled,
        keeper: Keeper,
        metrics: HistoryMetrics,
    ) -> None:
        self._layouts, self._time, self._key_fingerprint = layouts, time_column, key_fingerprint
        self._source, self._keeper, self._metrics = source, keeper, metrics
        labelled = [one for one in layouts if one.delay_us >= 0]
        self._delay = min(one.delay_us for one in labelled) / MICROSECONDS
        self._reach = max(one.keep_us for one in labelled) / MICROSECONDS
        self._store: AnyStore | None = None
        """That which all of the following is of."""
        self._after: After = (0.0, "")
        self._marks: Marks = {}
        self._again_at = 0.0
        self._settled: dict[int, None] = {}
        self._missed: dict[int, None] = {}
        self._told = -_TOLD_SECONDS
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fraud-labels", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """End after the labels in hand; a question under way is left to itself, for the process ends."""
        self._stop.set()
        self._thread.join(_WAIT_SECONDS)

    def _run(self) -> None:
        while not self._stop.wait(EVERY_SECONDS):
            self.try_turn()

    def try_turn(self) -> None:
        """``turn``, whatever fails: it is said, and tried again."""
        try:
            self.turn()
        except HistoryError as error:
            if (store := self._store) is not None:
                self._store = None  # it may be another one when it is there again
                self._keeper.failed(store, error)
        except FraudError as error:
            if time.monotonic() - self._told >= _TOLD_SECONDS:
                self._told = time.monotonic()
                LOG.warning("labels wait to be counted in histories: %s", error)
        except Exception:  # the next labels may be others
            LOG.exception("labels could not be counted in histories")

    def turn(self) -> None:
        """Apply what labels there are. Raises HistoryError, and DatabaseError where the database cannot be read."""
        store = self._keeper.store
        if store is None or not self._keeper.leads:
            self._store = None
            return
        marks = store.labels()
        if store is not self._store or marks != self._marks:
            self._begin(store, marks)
        began, now = time.monotonic(), time.time()
        again = began >= self._again_at
        ahead = any(one.until > now for one in marks.values())  # a clock was
        if ahead and not self._note(store, {own: one.at_most(now) for own, one in marks.items()}):
            return
        if again:
            self._after = max(min(one.start for one in self._marks.values()), self._first(now)), ""
        while labels := self._source.after(self._after, PAGE):
            self._apply(store, labels)
            self._after = labels[-1][:2]
            if self._stop.is_set():
                return
            moved = {own: one.moved(min(self._after[0], now)) for own, one in self._marks.items()}
            if moved != self._marks and not self._note(store, moved):
                return
        if again:  # what came late to the database was looked for, too
            self._again_at = time.monotonic() + (time.monotonic() - began) / MOST_SHARE

    def _begin(self, store: "AnyStore", marks: Marks) -> None:
        """Go on from what the store says: it is another one, or keys were put into it that lack labels."""
        self._store, self._marks, self._again_at = store, marks, 0.0
        self._settled.clear()

    def _first(self, now: float) -> float:
        """No window reaches back to what was labelled before."""
        return now - self._reach - OVERLAP_SECONDS

    def _note(self, store: "AnyStore", marks: Marks) -> bool:
        """Whether nobody wants it to be begun anew."""
        with store.gate.held(_WAIT_SECONDS):
            done = store.note_labels(marks, unchanged=True)
        if done:
            self._marks = marks
        return done

    def _apply(self, store: "AnyStore", labels: Sequence[Label]) -> None:
        new = [one for one in labels if hash(one) not in self._settled]
        sent = self._source.sent([one.transaction_id for one in new], self._key_fingerprint) if new else {}
        by_schema = dict[str, list[tuple[Label, Sent]]]()
        for one in new:
            if (own := sent.get(one.transaction_id)) is not None:
                by_schema.setdefault(own.schema_hash, []).append((one, own))
            elif one.is_fraud:
                self._count_missed(one)
            else:
                self._settle(one)
        for schema_hash, pairs in by_schema.items():
            self._apply_some(store, schema_hash, pairs)

    def _apply_some(self, store: "AnyStore", schema_hash: str, pairs: Sequence[tuple[Label, Sent]]) -> None:
        """Labels of transactions of one schema."""
        labels, sent = zip(*pairs, strict=True)
        read = reader(self._source.schema(schema_hash), self._layouts, self._time)
        if read is None:
            for one in labels:
                self._settle(one)
            self._metrics.labelled("other_schema", sum(one.is_fraud for one in labels))
            return
        names = [one.transaction_id for one in labels]
        batch = read(unpack([one.row for one in sent]), [one.texts for one in sent], names)
        batch = batch._replace(keys=[self._unheld(*one, labels) for one in zip(self._layouts, batch.keys, strict=True)])
        for start in range(0, len(names), AT_ONCE):
            rows = range(start, min(start + AT_ONCE, len(names)))
            with store.gate.held(_WAIT_SECONDS):
                began = time.monotonic()
                outcomes = self._answered(store, batch.only(rows), [labels[row].is_fraud for row in rows])
            self._count(batch, [(row, labels[row], outcome) for row, outcome in zip(rows, outcomes, strict=True)])
            time.sleep(time.monotonic() - began)  # calls want the gate, too

    def _unheld(self, layout: Layout, keys: Sequence[bytes | None], labels: Sequence[Label]) -> Sequence[bytes | None]:
        """Without those of labels that the states hold since they came."""
        floor = self._marks.get(layout.fingerprint, Mark()).floor
        return [key if one.labelled_at >= floor else None for key, one in zip(keys, labels, strict=True)]

    def _answered(self, store: "AnyStore", batch: Batch, frauds: list[bool]) -> list[str]:
        """What became of each label; those that are refused would be each time, and alone are given up."""
        try:
            store.label(batch, frauds)
        except RefusedHistoryError as error:
            if len(frauds) > 1:
                return [self._answered(store, batch.only([row]), [one])[0] for row, one in enumerate(frauds)]
            self._keeper.say(error)
            return ["refused"]
        return list(store.outcomes)

    def _count(self, batch: Batch, told: Iterable[tuple[int, Label, str]]) -> None:
        came = list[float]()
        for row, label, outcome in told:
            if outcome == "unknown":
                self._count_missed(label)
                continue
            self._settle(label)
            if outcome != "unchanged":
                self._metrics.labelled(outcome)
            if label.is_fraud and outcome in ("applied", "late"):
                came.append(label.labelled_at - float(batch.times[row]) / MICROSECONDS)
        self._metrics.labels_came(came, self._delay)

    def _count_missed(self, label: Label) -> None:
        """Once, however often it is looked for."""
        if hash(label) not in self._missed:
            _remember(self._missed, label)
            self._metrics.labelled("unknown")

    def _settle(self, label: Label) -> None:
        _remember(self._settled, label)


def _remember(labels: dict[int, None], label: Label) -> None:
    labels[hash(label)] = None
    if len(labels) > _REMEMBERED:
        del labels[next(iter(labels))]
