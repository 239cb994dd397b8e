"""Edits of token rows, against a slow list-based reading of their definition."""

from itertools import permutations

import numpy as np
import pytest

from perturbloop.perturb.edit import Policy, Target, edited

CLS, EOS = 90, 91
KINDS = ("delete", "overexpress", "inhibit", "activate")
NONE = np.array([], dtype=np.int32)


def slowly(row, targets, *, after_delete, not_expressed, limit, spare, has_cls):
    """The edited row as a list, or `None`: every moved gene reserves its place, the others fill what is free."""
    head, genes, tail = (row[:1], row[1:-1], row[-1:]) if has_cls else ([], list(row), [])
    room, n = limit - len(head) - len(tail), len(genes)
    if not_expressed == "skip" and any(target.token not in genes for target in targets):
        return None
    gone, raised, lowered, n_front = [], [], [], 0
    for target in targets:
        there = target.token in genes
        rank = genes.index(target.token) if there else n
        if target.kind == "overexpress":
            raised.append((n_front, target.token))
            n_front += 1
        elif target.kind == "activate":
            to = round((1 - target.dose) * rank)
            if not there and to == n:
                continue  # from beyond the end to beyond the end
            raised.append((to, target.token))
        elif not there:
            continue
        elif target.kind == "inhibit":
            lowered.append((rank + round(target.dose * (n - 1 - rank)), rank, target.token))
        gone.append(target.token)
    others = [gene for gene in genes if gene not in gone]
    # Raised genes of one rank keep the order given and stand before lowered ones, which keep that of the cell.
    moved = [(to, 0, number, token) for number, (to, token) in enumerate(raised)]
    moved = sorted(moved + [(to, 1, rank, token) for to, rank, token in lowered])
    if after_delete == "refill":
        for gene in spare:
            if len(others) + len(moved) < room and gene not in [target.token for target in targets]:
                others.append(gene)
    slots, place = [None] * (len(others) + len(moved)), -1
    for number, (to, _, _, token) in enumerate(moved):
        place = max(
            to, place + 1
        )  # at its rank, or right behind the gene moved before it; at most at the end
        slots[min(place, len(slots) - (len(moved) - number))] = token
    filling = iter(others)
    found = [next(filling) if slot is None else slot for slot in slots][:room]
    return None if not found or found == genes else head + found + tail


def both(row, targets, *, after_delete="shorten", not_expressed="skip", limit=99, spare=(), has_cls=False):
    """Ours and the slow one, as lists; the input row must stay as it is."""
    row_t, spare_k = np.array(row, dtype=np.int32), np.array(spare, dtype=np.int32)
    row_t.setflags(write=False)
    spare_k.setflags(write=False)
    ours = edited(
        row_t,
        tuple(targets),
        policy=Policy(after_delete, not_expressed),
        limit=limit,
        spare=spare_k,
        has_cls=has_cls,
    )
    assert row_t.tolist() == list(row)
    assert ours is None or (ours.dtype == row_t.dtype and not np.shares_memory(ours, row_t))
    theirs = slowly(
        list(row),
        targets,
        after_delete=after_delete,
        not_expressed=not_expressed,
        limit=limit,
        spare=list(spare),
        has_cls=has_cls,
    )
    return None if ours is None else ours.tolist(), theirs


@pytest.mark.parametrize("has_cls", [False, True])
@pytest.mark.parametrize("dose", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("kind", KINDS)
def test_one_gene_at_a_time_the_edit_is_that_of_its_definition(kind, dose, has_cls):
    genes = [7, 3, 8, 5, 9, 2, 4]
    row = [CLS, *genes, EOS] if has_cls else genes
    for length in (1, 2, 7):
        part = [CLS, *genes[:length], EOS] if has_cls else genes[:length]
        for token in (*genes[:length], 6):
            for not_expressed in ("skip", "insert"):
                for limit in (len(part), len(part) + 1):
                    ours, theirs = both(
                        part,
                        [Target(token, kind, dose)],
                        not_expressed=not_expressed,
                        limit=limit,
                        has_cls=has_cls,
                    )
                    assert ours == theirs
                    if kind in ("inhibit", "activate") and dose == 0:
                        assert ours is None
                    if ours is not None and has_cls:
                        assert (ours[0], ours[-1]) == (CLS, EOS)
                        assert not {CLS, EOS} & set(ours[1:-1])
    expected = {
        "delete": [7, 3, 5, 9, 2, 4],
        "overexpress": [8, 7, 3, 5, 9, 2, 4],
        "inhibit": {0.0: None, 0.3: [7, 3, 5, 8, 9, 2, 4], 1.0: [7, 3, 5, 9, 2, 4, 8]}[dose],
        "activate": {0.0: None, 0.3: [7, 8, 3, 5, 9, 2, 4], 1.0: [8, 7, 3, 5, 9, 2, 4]}[dose],
    }[kind]  # by hand: rank 2 of 7 goes to 2 + round(0.3 * 4) = 3, or to round(0.7 * 2) = 1
    ours, _ = both(row, [Target(8, kind, dose)], has_cls=has_cls)
    assert ours == (expected if expected is None or not has_cls else [CLS, *expected, EOS])


def random_case(rng):
    n = int(rng.integers(1, 9))
    tokens = rng.permutation(np.arange(2, 20)).tolist()
    genes, spare = tokens[:n], tokens[n : n + int(rng.integers(0, 4))]
    has_cls = bool(rng.integers(2))
    pool = genes + spare + tokens[-1:]  # expressed, beyond the limit, or neither
    targets = [
        Target(token, KINDS[rng.integers(4)], float(rng.choice([0, 0.3, 0.5, 1])))
        for token in rng.permutation(pool)[: rng.integers(1, 5)].tolist()
    ]
    full = bool(spare) or bool(rng.integers(2))
    return {
        "row": [CLS, *genes, EOS] if has_cls else genes,
        "targets": targets,
        "after_delete": str(rng.choice(["shorten", "refill"])),
        "not_expressed": str(rng.choice(["skip", "insert"])),
        "limit": n + 2 * has_cls + (0 if full else int(rng.integers(1, 4))),
        "spare": spare,
        "has_cls": has_cls,
    }


def test_sets_under_all_policies_are_edited_by_definition(rng):
    applied = 0
    for _ in range(3000):
        case = random_case(rng)
        ours, theirs = both(**case)
        assert ours == theirs, case
        if ours is not None:
            applied += 1
            assert len(ours) <= case["limit"]
            assert len(set(ours)) == len(ours)
            assert (not case["has_cls"]) or (ours[0], ours[-1]) == (CLS, EOS)
    assert applied > 1000


def test_the_order_in_which_lowered_genes_are_named_does_not_matter():
    row = [7, 3, 8, 5, 9, 2, 4]
    targets = [Target(7, "inhibit"), Target(3, "inhibit"), Target(8, "inhibit", 0.5), Target(5, "delete")]
    found = {tuple(both(row, order)[0]) for order in permutations(targets)}
    assert found == {(9, 2, 4, 8, 7, 3)}


def test_raised_genes_that_come_to_one_rank_keep_the_order_given():
    row = [7, 3, 8, 5]
    for kinds in (("overexpress", "overexpress"), ("activate", "activate"), ("overexpress", "activate")):
        first, second = kinds
        assert both(row, [Target(5, first), Target(8, second)])[0] == [5, 8, 7, 3]
        assert both(row, [Target(8, first), Target(5, second)])[0] == [8, 5, 7, 3]


def test_a_drug_is_the_set_of_its_signed_targets():
    drug = [Target(3, "delete"), Target(5, "overexpress"), Target(7, "inhibit")]
    assert both([7, 3, 8, 5, 9], drug)[0] == [5, 8, 9, 7]


def test_genes_beyond_the_limit_move_up_only_under_refill_and_never_the_targets():
    row, spare = [7, 3, 8], [5, 9]
    gone = [Target(3, "delete")]
    assert both(row, gone, limit=3, spare=spare)[0] == [7, 8]
    assert both(row, gone, limit=3, spare=spare, after_delete="refill")[0] == [7, 8, 5]
    assert both(row, gone, limit=3, after_delete="refill")[0] == [7, 8]
    options = {"limit": 3, "spare": spare, "after_delete": "refill", "not_expressed": "insert"}
    assert both(row, [*gone, Target(5, "delete")], **options)[0] == [7, 8, 9]
    assert both(row, [*gone, Target(7, "delete"), Target(5, "overexpress")], **options)[0] == [5, 8, 9]


def test_a_gene_that_is_not_expressed_is_put_in_only_on_request_and_pushes_the_last_one_out():
    row = [CLS, 7, 3, 8, EOS]
    for target, found in (
        (Target(5, "overexpress"), [CLS, 5, 7, 3, EOS]),
        (Target(5, "activate", 0.5), [CLS, 7, 3, 5, EOS]),
    ):
        assert both(row, [target], limit=5, has_cls=True)[0] is None
        assert both(row, [target], limit=5, has_cls=True, not_expressed="insert")[0] == found
    for kind in ("delete", "inhibit"):
        absent = [Target(5, kind)]
        assert both(row, absent, limit=5, has_cls=True, not_expressed="insert")[0] is None
        assert both(row, [*absent, Target(3, "delete")], limit=5, has_cls=True)[0] is None
        with_other = both(row, [*absent, Target(3, "delete")], limit=5, has_cls=True, not_expressed="insert")[
            0
        ]
        assert with_other == [CLS, 7, 8, EOS]


def test_an_edit_that_would_leave_nothing_or_change_nothing_is_none():
    assert both([7], [Target(7, "delete")])[0] is None
    assert both([CLS, 7, EOS], [Target(7, "delete")], has_cls=True)[0] is None
    assert both([7, 3], [Target(7, "delete"), Target(3, "delete")])[0] is None
    assert both([7, 3], [Target(7, "overexpress")])[0] is None
    assert both([7, 3], [Target(3, "inhibit")])[0] is None
    assert edited(np.array([7, 3]), (), policy=Policy(), limit=9, spare=NONE) is None
