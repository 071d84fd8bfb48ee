"""The progress bar of bulk scoring."""

import io

from rich.console import Console

from fraud.bulk import progress


def shown(terminal, name="week.parquet"):
    out = io.StringIO()
    with progress.bar(name, Console(file=out, force_terminal=terminal, width=120)) as observer:
        observer(0.5, 1_234_567)
    return out.getvalue()


def test_a_terminal_shows_share_and_rows():
    """With the file's name."""
    text = shown(True)
    assert "week.parquet" in text
    assert "50%" in text
    assert "1,234,567 rows" in text


def test_a_log_is_spared_the_bar():
    """Nothing is drawn where no terminal is."""
    assert shown(False).strip() == ""


def test_a_name_is_shown_as_it_is():
    """What the bar is called is no markup."""
    assert "a[/b]:smile:.csv" in shown(True, "a[/b]:smile:.csv")
