"""Tables as spreadsheets write them."""

from __future__ import annotations

import csv
import io
from itertools import zip_longest

from cluster.strict import ConfigError

DELIMITERS = ",;\t"


def read_csv(text: str, path: str) -> list[tuple[str, dict[str, str]]]:
    """Return where each row stands, as `path: line 3`, and its values by column.

    The first line names the columns, and the commas, semicolons or tabs in it are what all values
    are separated by. Blanks around a value, empty values and empty rows are left out.

    Raises:
        ConfigError: a column stands twice, or a value in none.
    """
    delimiter = max(DELIMITERS, key=text.strip().partition("\n")[0].count)
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, skipinitialspace=True)
    columns: list[str] = []
    rows = []
    for cells in ([cell.strip() for cell in row] for row in reader):
        where = f"{path}: line {reader.line_num}"
        if not columns:
            columns = _columns(cells, where)
        elif any(cells):
            rows.append((where, _values(columns, cells, where)))
    return rows


def _columns(cells: list[str], where: str) -> list[str]:
    twice = next((cell for cell in cells if cell and cells.count(cell) > 1), None)
    if twice is not None:
        raise ConfigError(f"{where}: the column {twice!r} stands twice; remove one")
    return cells if any(cells) else []


def _values(columns: list[str], cells: list[str], where: str) -> dict[str, str]:
    for column, cell in zip_longest(columns, cells, fillvalue=""):
        if cell and not column:
            raise ConfigError(
                f"{where}: more values than columns ({cell!r}); name its column, or put a value "
                "that holds a separator in quotes"
            )
    return {column: cell for column, cell in zip(columns, cells, strict=False) if cell}
