import io

from rich.console import Console

from perturbloop.report import sections, tables


def shown(report):
    console = Console(file=io.StringIO(), width=300, color_system=None)
    for table in tables(report):
        console.print(table)
    return console.file.getvalue()


def test_the_terminal_shows_every_cell_and_line_of_the_page(round_one):
    said = "".join(shown(round_one).split())
    for section in sections(round_one):
        for line in (*section.lines, *section.notes):
            assert "".join(line.split()) in said
        for grid in section.grids:
            for cell in {cell for row in grid.rows for cell in row if len(cell) < 30}:
                assert "".join(cell.split()) in said


def test_brackets_are_text_and_not_markup(round_one):
    assert "0.81 [0.71, 0.91]" in shown(round_one)


def test_an_empty_round_has_tables_too(round_zero):
    assert "No perturbed cells recorded yet" in shown(round_zero)
