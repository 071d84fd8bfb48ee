"""The folder of the store: where it is, whose it is, and what is done about files that are not what was written."""

import json
import os
import stat
import time
from contextlib import suppress
from fcntl import LOCK_EX, LOCK_NB, flock
from hashlib import sha256
from pathlib import Path

from fraud import home
from fraud.atomic import replacing
from fraud.errors import DamagedHistoryError, HistoryError
from fraud.history.files.filesystem import check_local
from fraud.history.files.ids import Ids
from fraud.history.files.journal import Journal
from fraud.history.files.place import FILE, FORMAT, open_file
from fraud.history.files.slots import Slots
from fraud.history.layout import Layout
from fraud.settings import Settings

SCHEME = "file://"
FACTS, JOURNAL, LEADER = "facts.json", "journal", "keeper"
_SET_ASIDE = ".damaged-"
_BOOT = Path("/proc/sys/kernel/random/boot_id")


def url_of(read: Settings) -> str:
    """Where the store is: as it is set, else in ``BENTOML_HOME``."""
    return read.history_url or f"{SCHEME}{(home.folder() / 'fraud_history' / 'store').absolute()}"


def folder_of(url: str) -> Path:
    """The folder of ``file:///...``, made where it is not there. Raises HistoryError."""
    folder = Path(url.removeprefix(SCHEME))
    if not url.startswith(SCHEME) or not folder.is_absolute():
        raise HistoryError(f"FRAUD_HISTORY_URL={url!r}: expected file:///FOLDER")
    try:
        check_local(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
    except (OSError, RuntimeError) as error:  # the second for links in a circle
        raise HistoryError.not_writable(folder, OSError(*error.args)) from None
    return folder


class Opening:
    """Opens what is in ``folder``, with the gate held, and mends it.

    A file whose beginning is damaged is set aside under another name, never deleted. Whatever follows from the states
    is made anew where anything is doubtful. Raises HistoryError where the store is of another secret of keys.
    """

    def __init__(self, folder: Path, key_fingerprint: str) -> None:
        self.folder, self.said, self.damaged = folder, list[str](), 0
        self._set_aside(*(path.name for path in folder.iterdir() if _is_ours(path.name) and not _is_file(path)))
        self._check_facts(key_fingerprint)
        boot = boot_number()
        self.opened = list[Slots | Ids]()
        self._led: int | None = None
        try:
            self.descriptor = open_file(folder / JOURNAL)
            self.journal = Journal(self.descriptor, str(folder), self._file)
            self.journal.begin()
        except (FileNotFoundError, DamagedHistoryError) as error:
            if isinstance(error, DamagedHistoryError):
                os.close(self.descriptor)
            self._doubt()
            self._begin_journal(boot)
        except HistoryError:
            os.close(self.descriptor)
            raise
        if self.journal.boot != boot:
            self.said.append(
                f"{folder}: the machine was started anew since the history store was written: states are checked; if "
                "it went down without a word, transactions of its last seconds may be missing"
            )
            try:
                self._doubt()
                self.journal.reborn(boot)
            except OSError:
                os.close(self.descriptor)
                raise

    def _doubt(self) -> None:
        """Have every index made anew; before anything says that there is no doubt any more."""
        for path in self.folder.glob("index-*"):
            if _is_ours(path.name):
                path.unlink()

    def _check_facts(self, key_fingerprint: str) -> None:
        """Raise HistoryError unless the store is of this format and secret; begin one where there is none."""
        try:
            facts = json.loads((self.folder / FACTS).read_text())
            found, theirs = facts["format"], facts["key_fingerprint"]
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            self._stop_others()
            self._set_aside(*(path.name for path in self.folder.iterdir() if _is_ours(path.name)))
            with replacing(self.folder / FACTS) as part:
                part.touch(mode=0o600)
                part.write_text(json.dumps({"format": FORMAT, "key_fingerprint": key_fingerprint}) + "\n")
            return
        if found != FORMAT:
            raise HistoryError(f"{self.folder}: a history store of format {found}, this code has {FORMAT}")
        if theirs != key_fingerprint:
            raise HistoryError(
                f"{self.folder} holds histories of keys hashed with the FRAUD_KEY_SECRET of fingerprint {theirs}, and "
                f"that of {key_fingerprint} is set: set that one, or name another folder in FRAUD_HISTORY_URL"
            )

    def _stop_others(self) -> None:
        """Have who has the files open that are set aside open the store anew: nobody else would see what they add."""
        with suppress(OSError):
            descriptor = open_file(self.folder / JOURNAL)
            try:
                Journal(descriptor, str(self.folder), self._file).kill()
            finally:
                os.close(descriptor)

    def _begin_journal(self, boot: int) -> None:
        path = self.folder / JOURNAL
        with replacing(path) as part:
            part.touch(mode=0o600)
            part.write_bytes(Journal.empty(boot))
        self.descriptor = open_file(path)
        self.journal = Journal(self.descriptor, str(self.folder), self._file)
        self.journal.begin()

    def _file(self, name: str) -> int:
        path = self.folder / name
        if not FILE.fullmatch(name) or not path.exists():
            raise DamagedHistoryError(f"{self.folder}: the journal names {name!r}")
        return open_file(path)

    def slots(self, layout: Layout, most: int) -> Slots:
        """The states of a layout."""
        name = f"states-{layout.fingerprint}"
        if not (self.folder / name).exists():
            if (self.folder / f"index-{layout.fingerprint}").exists():
                self.damaged += 1
                self.said.append(f"{self.folder}: {name} is gone: histories begin anew")
            Slots.make(self.folder, layout)
        try:
            found = self.others(layout.fingerprint, most)
            if found.size == layout.size:
                return found
            raise DamagedHistoryError(f"{name}: states of {found.size} bytes, and {layout.size} are expected")
        except DamagedHistoryError:
            self._set_aside(name)
            Slots.make(self.folder, layout)
            return self.others(layout.fingerprint, most)

    def ids(self, kind: str, width: int, most: int) -> Ids:
        """Those of transactions with features of one kind."""
        found = Ids(self.folder, kind, width, most)
        self.opened.append(found)
        return found

    def others(self, fingerprint: str, most: int) -> Slots:
        """The states of a layout that may be another model's. Raises DamagedHistoryError."""
        found = Slots(self.folder, fingerprint, most)
        self.opened.append(found)
        found.open_index(anew=False)
        if found.damaged:
            self.said.append(f"{self.folder}: {found.damaged} keys were damaged, and begin anew")
        return found

    def renew(self) -> None:
        """Have everybody else open the store anew: a file was replaced that they have open."""
        before = self.descriptor
        self.journal.kill()
        self._begin_journal(self.journal.boot)
        os.close(before)

    def lead(self) -> bool:
        """Whether nobody else looks after the store; nobody else will, until this is closed. Raises HistoryError."""
        if self._led is None:
            path = self.folder / LEADER
            try:
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except OSError as error:
                raise HistoryError.not_writable(path, error) from None
            try:
                flock(descriptor, LOCK_EX | LOCK_NB)
            except OSError:
                os.close(descriptor)
                return False
            self._led = descriptor
        return True

    def is_there(self) -> bool:
        """Whether it is this store that the folder holds: nobody moved it, or set it aside."""
        try:
            return os.path.samestat((self.folder / JOURNAL).stat(), os.fstat(self.descriptor))
        except OSError:
            return False

    def suspect(self) -> None:
        """Have everybody open the store anew, and check it."""
        self.journal.kill()

    def _set_aside(self, *names: str) -> None:
        if not names:
            return
        ending = time.strftime(f"{_SET_ASIDE}%Y%m%dT%H%M%SZ", time.gmtime())
        while any(self.folder.glob(f"*{ending}")):
            ending += "+"
        for name in names:
            (self.folder / name).rename(self.folder / f"{name}{ending}")
        self.damaged += 1
        self.said.append(
            f"{self.folder}: {', '.join(sorted(names))} is not what was written and was set aside as *{ending}: what "
            "it held is lost, histories begin anew"
        )

    def close(self) -> None:
        """Close what was opened."""
        for one in self.opened:
            one.close()
        os.close(self.descriptor)
        if self._led is not None:
            os.close(self._led)


def _is_file(path: Path) -> bool:
    """And no folder, or link to elsewhere."""
    return stat.S_ISREG(path.lstat().st_mode)


def _is_ours(name: str) -> bool:
    """Whether a file is one of the store: whatever else is in the folder is none of its business."""
    return name in (FACTS, JOURNAL) or FILE.fullmatch(name) is not None


def boot_number() -> int:
    """Tells one start of the machine from another."""
    try:
        text = _BOOT.read_text()
    except OSError:  # not Linux
        import psutil

        text = str(round(psutil.boot_time() / 60))
    return int.from_bytes(sha256(text.encode()).digest()[:8], "little")
