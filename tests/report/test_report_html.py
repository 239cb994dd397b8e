import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import pandas as pd

from perturbloop.report import render, sections
from perturbloop.report.pages import SHOWN
from perturbloop.report.ranking import top_grid
from perturbloop.schema import Verdict

LOADING = {"link", "iframe", "object", "embed", "video", "audio", "source", "base", "form"}
VOID = {"meta", "img", "input"}


class Page(HTMLParser):
    """The reader's side: what is loaded, which elements are open, what is said before the details of each page and in them."""

    def __init__(self, page):
        super().__init__()
        self.loaded, self.tags, self.ids, self.open, self.links = [], set(), [], [], []
        self.front, self.details, self.heads, self.scripts, self.data = [], [], [], [], []
        self.pages, self.levels, self.is_data = {}, [], False
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.add(tag)
        self.loaded += [attrs[name] for name in ("src", "srcset", "data", "xlink:href") if name in attrs]
        self.ids += [attrs["id"]] if "id" in attrs else []
        self.links += [attrs["href"]] if tag == "a" else []
        if tag == "section" and "details" not in self.open:
            self.heads.append(attrs["id"])
        if tag == "article":
            self.pages[attrs["id"]] = []
        if tag == "section":
            list(self.pages.values())[-1].append(attrs["id"])
        if tag in {"h1", "h2", "h3", "h4"}:
            self.levels.append(int(tag[1]))
        if tag == "script":
            self.is_data = attrs.get("type") == "application/json"
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "script" in self.open:
            (self.data if self.is_data else self.scripts).append(data)
        elif "body" in self.open:
            (self.details if "details" in self.open else self.front).append(data)


def red(page):
    """Text of the red boxes."""
    return re.findall(r'<div class="alarm".*?</div>', page, flags=re.DOTALL)


def test_the_page_loads_nothing_from_anywhere_and_says_so_to_the_browser(page_one):
    page = page_one
    parsed = Page(page)
    assert not LOADING & parsed.tags
    assert '<meta name="referrer" content="no-referrer">' in page
    assert len(parsed.loaded) == 8
    assert all(source.startswith("data:image/svg+xml;base64,") for source in parsed.loaded)
    assert set(re.findall(r"https?://[\w.]+", page)) == {
        "https://www.ensembl.org",
        "https://www.ncbi.nlm.nih.gov",
    }
    assert "url(" not in page
    assert "default-src 'none'" in page
    assert not parsed.open
    assert len(set(parsed.ids)) == len(parsed.ids)


def test_the_script_that_sorts_is_the_only_one_that_may_run(page_one):
    page = page_one
    (script,) = Page(page).scripts
    assert 'addEventListener("click", () => sort(' in script
    assert not re.search(r"\son\w+=|javascript:", page)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page


def test_labels_are_text_and_never_markup_in_the_page_or_its_figures(page_one):
    page = page_one
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<i>" not in page
    assert "ifn &lt;b&gt;" in page
    for source in re.findall(r"base64,([^\"]+)", page):
        assert b"<script" not in base64.b64decode(source)


def test_each_page_shows_its_first_sections_and_keeps_all_others_in_its_details(
    without_figures, round_one, round_zero
):
    for report in (round_one, round_zero):
        parsed = Page(render(report))
        assert parsed.heads == ["answer", "rounds", "found", "ranking", "method", "effects", "proposals"]
        order = [section.key for section in sections(report)]
        shown = [key for keys in parsed.pages.values() for key in keys]
        assert sorted(shown) == sorted(order)
        for keys in parsed.pages.values():
            own = [key for key in keys if key not in parsed.heads]
            assert own == [key for key in order if key in own]
    assert list(parsed.pages) == ["overview-page", "ranking-page", "evidence-page", "batch-page"]
    assert "scoreboard" in parsed.pages["evidence-page"]
    assert "spent" in parsed.pages["ranking-page"]
    assert "limits" in parsed.pages["overview-page"]


def test_every_link_within_the_file_has_its_place_and_heads_come_in_order(without_figures, round_one):
    parsed = Page(render(round_one))
    within = [link[1:] for link in parsed.links if link.startswith("#")]
    assert within[:4] == list(parsed.pages)
    assert set(within) <= set(parsed.ids)
    assert parsed.levels[0] == 1
    assert parsed.levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(parsed.levels))


def test_a_page_holds_all_scored_genes_and_shows_the_best_twenty(without_figures, round_one):
    """What the script draws from is what the table would hold, letter by letter."""
    many = [
        round_one.ranking.assign(
            gene_id=lambda rows, k=k: rows["gene_id"].str[:-3] + f"{k:02d}" + rows["gene_id"].str[-1]
        )
        for k in range(20)
    ]
    report = replace(round_one, ranking=pd.concat(many), posterior=round_one.posterior[:0])
    page = render(report)
    held = [json.loads(text) for text in Page(page).data]
    assert [len(one["ids"]) for one in held] == [100, 120]  # five and six scored genes of each of the twenty
    for one, kind in zip(held, ("delete", "overexpress"), strict=True):
        columns = [
            column if isinstance(column, list) else [column["words"][code] for code in column["codes"]]
            for column in one["columns"]
        ]
        whole = top_grid(report, kind, 1000)
        assert tuple(zip(*columns, strict=True)) == whole.rows
        assert tuple(one["ids"]) == whole.gene_ids
    table = page[page.index('<section id="ranking">') :]
    table = table[table.index("<tbody>") : table.index("</tbody>")]
    assert table.count("<tr") == SHOWN == 20
    assert "100 genes by benefit, the best first" in page


def test_a_gene_cannot_end_the_data_it_stands_in(without_figures, round_one):
    evil = "</script><script>alert(2)</script>"
    many = pd.concat([round_one.ranking.assign(gene_name=evil, gene_id=f"ENSG{k:011d}") for k in range(30)])
    page = render(replace(round_one, ranking=many, posterior=round_one.posterior[:0]))
    parsed = Page(page)
    assert "alert(2)</script>" not in page
    assert len(parsed.scripts) == 1
    assert evil in json.dumps([json.loads(text) for text in parsed.data])
    assert not json.loads(
        Page(render(replace(round_one, ranking=many.assign(gene_id="javascript:x")))).data[0]
    )["ids"][0]


def test_what_stands_before_the_details_is_short(without_figures, round_one):
    long = pd.concat([round_one.ranking.assign(gene_id=f"ENSG{k:011d}") for k in range(100)])
    parsed = Page(
        render(replace(round_one, ranking=long, warnings=tuple(f"Warning {k}." for k in range(99))))
    )
    assert len(" ".join(parsed.front).split()) <= 1500
    assert "95 more notes in the details." in " ".join(parsed.front)


def test_genes_link_to_ensembl_and_ncbi_and_a_foreign_id_does_not(without_figures, round_one):
    links = Page(render(round_one)).links
    assert "https://www.ensembl.org/id/ENSG00000000001" in links
    assert "https://www.ncbi.nlm.nih.gov/gene/?term=ENSG00000000001" in links
    odd = round_one.ranking.assign(gene_id="javascript:alert(1)")
    assert not [
        link
        for link in Page(render(replace(round_one, ranking=odd, effects=round_one.effects[:0]))).links
        if "javascript" in link
    ]


def test_red_is_for_a_failed_gate_alone(without_figures, round_one):
    assert not red(render(round_one))  # it has warnings
    failed = (Verdict("state head", False, "State head: AUROC 0.55: FAILED."), *round_one.gate)
    (box,) = red(render(replace(round_one, gate=failed)))
    assert "CONTROL GATE FAILED" in box
    assert "AUROC 0.55" in box
    assert "published weights" in box
    unjudged = (Verdict("positive controls", None, "Positive controls: cannot be judged."),)
    assert not red(render(replace(round_one, gate=unjudged)))


def test_a_failed_gate_stands_before_the_batch_too(without_figures, round_one):
    failed = (Verdict("state head", False, "State head: FAILED."),)
    page = render(replace(round_one, gate=failed))
    batch = page[page.index('<section id="proposals">') :]
    assert batch.index("Do not order this batch") < batch.index("<table>")
    assert "Do not order this batch" not in render(round_one)


def test_digests_do_not_stand_before_the_details(without_figures, round_one):
    report = replace(round_one, facts={"cells": "cells.h5ad (0123456789abcdef)"})
    parsed = Page(render(report))
    assert "0123456789abcdef" not in " ".join(parsed.front)
    assert "0123456789abcdef" in " ".join(parsed.details)


def test_a_round_without_measurements_says_so_in_words(without_figures, round_zero):
    page = render(round_zero)
    assert "nothing was measured, so this ranking is a model&#39;s suggestion" in page
    assert page.count("No perturbed cells recorded yet: add them with <code>perturbloop record</code>") == 5
    assert "This is round 0: there is no earlier ranking." in page
    assert not red(page)


def test_the_same_report_gives_the_same_page(round_one, page_one):
    assert render(round_one) == page_one
