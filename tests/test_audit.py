"""What a ledger holds and whether it can be relied on, on the fixture ledger."""

import fixture_ledger
import pytest

from labkit.ledger import _schema


@pytest.fixture
def ledger(tmp_path):
    return fixture_ledger.build(tmp_path / "outputs" / "ledger.sqlite")


def test_the_fixture_is_whole_complete_and_the_same_each_time(ledger, tmp_path):
    again = fixture_ledger.build(tmp_path / "again" / "ledger.sqlite")
    assert ledger.integrity() == "ok"
    for table in _schema().columns:
        rows = ledger.query(f"SELECT * FROM {table}")
        assert len(rows), table
        assert rows.equals(again.query(f"SELECT * FROM {table}")), table
    with pytest.raises(FileExistsError, match="built anew"):
        fixture_ledger.build(ledger.path)
