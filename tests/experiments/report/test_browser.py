"""The report in headless Chromium: opened from disk, driven by mouse and keyboard."""

from __future__ import annotations

import io
import json
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from experiments.report.write import ReportOptions, write_report
from tests.builders.experiments_workspace import Quality, make_fusion, make_workspace

selenium = pytest.importorskip("selenium", reason="needs `pip install selenium`")
from selenium import webdriver  # noqa: E402
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

pytestmark = pytest.mark.browser

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)
SECTIONS = (
    "verdict",
    "curves",
    "experiments",
    "bars",
    "pr",
    "confusion",
    "errors",
    "worst",
    "fusion",
    "split",
    "record",
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    chromedriver = shutil.which("chromedriver")
    if not chromium or not chromedriver:
        pytest.skip("needs Chromium: apt-get install -y chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(chromedriver))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """A full report and one of an empty work root."""
    root = tmp_path_factory.mktemp("report")
    space = make_workspace(root)
    weak = Quality(found=0.7, jitter=0.1, false_per_image=2.0, confused=0.15)
    for number, model in enumerate(("tood_dcn", "yolox", "retinanet")):
        space.add_run(model, model=model, seed=number + 1, quality=weak)
    for seed in (42, 43):
        space.add_run(f"mosaic_smoke-base-seed{seed}", seed=seed, quality=weak)
        mosaic = {"augment.mosaic": 0.5}
        space.add_run(f"mosaic_smoke-mosaic-seed{seed}", seed=seed, config=mosaic)
    make_fusion(space, ["tood_dcn", "yolox", "retinanet"])
    full, empty = root / "full report.html", root / "empty.html"
    write_report(full, ReportOptions(space.data, space.work, image_count=8, samples=100))
    write_report(empty, ReportOptions(root / "nothing", root / "none", samples=100))
    return {"full": full, "empty": empty, "space": space}


def open_page(browser, path, *, size=(1280, 900), scheme="light"):
    browser.get("about:blank")
    for log in ("browser", "performance"):
        browser.get_log(log)  # reading empties it
    width, height = size
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    # Without smooth scrolling a click lands where its target is.
    features = [
        {"name": "prefers-color-scheme", "value": scheme},
        {"name": "prefers-reduced-motion", "value": "reduce"},
    ]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    browser.get(path.as_uri())
    assert browser.execute_script("return document.documentElement.dataset.ready") == "yes"


@pytest.fixture
def page(browser, reports):
    open_page(browser, reports["full"])
    return browser


def find(page, selector):
    return page.find_elements(By.CSS_SELECTOR, selector)


def one(page, selector):
    return page.find_element(By.CSS_SELECTOR, selector)


def set_slider(page, selector, value):
    page.execute_script(
        "const s = document.querySelector(arguments[0]); s.value = arguments[1];"
        "s.dispatchEvent(new Event('input', {bubbles: true}));",
        selector,
        value,
    )


def requested_urls(browser):
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return [
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    ]


def pixels(element) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(element.screenshot_as_png)).convert("L"), dtype=float)


WORST = ".viewer[data-viewer=worst]"
FUSION = ".viewer[data-viewer=fusion]"


# Opening


@pytest.mark.parametrize("which", ["full", "empty"])
def test_opens_from_disk_without_errors_and_without_a_request(browser, reports, which):
    open_page(browser, reports[which])
    errors = [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert errors == []
    urls = requested_urls(browser)
    assert reports[which].as_uri() in urls
    outside = [url for url in urls if not url.startswith(("file:", "data:", "blob:", "about:"))]
    assert outside == []


def test_the_file_is_small_enough(reports):
    assert reports["full"].stat().st_size < 20e6


def test_the_empty_report_says_what_to_do(browser, reports):
    open_page(browser, reports["empty"])
    text = one(browser, "main").text
    assert "Nothing to score against yet" in text
    assert "make split" in text
    assert [s.get_attribute("id") for s in find(browser, "section")] == list(SECTIONS)


@pytest.mark.parametrize("size", [(1280, 900), (390, 844)], ids=["desktop", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_section_is_blank_and_none_is_wider_than_the_screen(browser, reports, size, scheme):
    open_page(browser, reports["full"], size=size, scheme=scheme)
    assert [s.get_attribute("id") for s in find(browser, "section")] == list(SECTIONS)
    for section in find(browser, "section"):
        browser.execute_script("arguments[0].scrollIntoView({behavior: 'instant'})", section)
        picture = pixels(section)
        name = section.get_attribute("id")
        assert picture.std() > 4, name
        # Text or figures cover some of it: not one flat colour with a heading.
        background = np.median(picture)
        assert (np.abs(picture - background) > 40).mean() > 0.005, name
    width = browser.execute_script("return document.documentElement.scrollWidth")
    assert width <= size[0]


def test_a_phone_shows_verdicts_and_stands_long_names(browser, reports):
    open_page(browser, reports["full"], size=(390, 844))
    verdicts = find(browser, "#experiments thead th:nth-child(3)")
    assert verdicts[0].text == "verdict"
    edge = browser.execute_script("return arguments[0].getBoundingClientRect().right", verdicts[0])
    assert edge <= 390
    long = "tood_dcn-pseudo1-mosaic0.5-with-a-name-that-says-everything-seed42/fold3"
    for select in find(browser, "select"):
        browser.execute_script("arguments[0].add(new Option(arguments[1]))", select, long)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 390


def test_dark_and_light_differ(browser, reports):
    brightness = {}
    for scheme in ("light", "dark"):
        open_page(browser, reports["full"], scheme=scheme)
        brightness[scheme] = np.median(pixels(one(browser, "#curves")))
    assert brightness["light"] > 200
    assert brightness["dark"] < 60


# Figures and thresholds


def test_every_figure_is_drawn(page):
    figures = find(page, "[data-figure]")
    assert len(figures) >= 4 + 2 + 2 + 3
    for figure in figures:
        assert figure.find_elements(By.CSS_SELECTOR, "svg.main-svg")


def test_threshold_moves_marks_and_table(page):
    marks = "return document.getElementById('pr-figure').data.slice(-4).map((t) => t.x[0])"
    recalls = {}
    for threshold in (0.1, 0.6):
        set_slider(page, "#pr-threshold", threshold)
        recalls[threshold] = page.execute_script(marks)
        assert one(page, "#pr-value").text == f"{threshold:.2f}"
        shown = [row.text.split()[-5] for row in find(page, "#pr-table tbody tr")]
        assert shown  # the table has a row per class
    assert all(low >= high for low, high in zip(recalls[0.1], recalls[0.6], strict=True))
    assert recalls[0.1] != recalls[0.6]


def test_threshold_can_be_moved_by_keyboard(page):
    slider = one(page, "#pr-threshold")
    before = float(slider.get_attribute("value"))
    slider.send_keys(Keys.ARROW_RIGHT)
    assert float(one(page, "#pr-value").text) == pytest.approx(before + 0.01)


def test_other_predictions_change_the_curves(page):
    x_of_curve = "return document.getElementById('pr-figure').data[0].x.length"
    first = page.execute_script(x_of_curve)
    select = one(page, "#pr-predictions")
    select.find_elements(By.TAG_NAME, "option")[1].click()
    assert page.execute_script(x_of_curve) != first


def test_confusion_cell_opens_crops_and_escape_closes_them(page):
    cells = [b for b in find(page, "#confusion-matrix button") if b.is_enabled()]
    errors = [b for b in cells if "predicted nothing" in b.get_attribute("aria-label")]
    cell = errors[0]
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", cell)
    cell.send_keys(Keys.ENTER)
    dialog = one(page, "#crops")
    assert dialog.is_displayed()
    images = dialog.find_elements(By.TAG_NAME, "img")
    count = int(cell.text)
    assert len(images) == min(count, 6)
    widths = [page.execute_script("return arguments[0].naturalWidth", each) for each in images]
    assert all(width > 0 for width in widths)
    dialog.find_element(By.TAG_NAME, "button").send_keys(Keys.ESCAPE)
    assert not dialog.is_displayed()


# Box viewer


def boxes(page, viewer):
    return len(find(page, f"{viewer} rect.box"))


def test_score_slider_changes_what_is_drawn(page):
    counts = []
    for value in (0.05, 0.4, 0.99):
        set_slider(page, f"{WORST} input.score", value)
        counts.append(boxes(page, WORST))
    assert counts[0] > counts[1] >= counts[2]
    truth = len(find(page, f"{WORST} text[data-side=below]"))
    assert counts[2] == truth  # nothing is that sure: only the truth is left


def test_toggles_change_what_is_drawn(page):
    set_slider(page, f"{WORST} input.score", 0.05)
    shown = boxes(page, WORST)
    toggle = one(page, f"{WORST} input[data-layer=truth]")
    toggle.click()
    without_truth = boxes(page, WORST)
    assert without_truth < shown
    one(page, f"{WORST} input[data-layer='yolox/fold3']").click()
    assert boxes(page, WORST) > without_truth
    before = pixels(one(page, f"{WORST} svg"))
    one(page, f"{WORST} input[data-layer=fusion]").click()
    assert (pixels(one(page, f"{WORST} svg")) != before).any()


def test_viewer_keys(page):
    viewer = one(page, WORST)
    title = f"{WORST} svg"
    first = one(page, title).get_attribute("aria-label")
    viewer.send_keys(Keys.ARROW_RIGHT)
    assert one(page, title).get_attribute("aria-label") != first
    viewer.send_keys(Keys.ARROW_LEFT)
    assert one(page, title).get_attribute("aria-label") == first
    score = float(one(page, f"{WORST} output").text)
    viewer.send_keys("+")
    assert float(one(page, f"{WORST} output").text) == pytest.approx(score + 0.05)
    viewer.send_keys("-")
    assert float(one(page, f"{WORST} output").text) == pytest.approx(score)
    viewer.send_keys("0")
    assert not one(page, f"{WORST} input[data-layer=truth]").is_selected()


def test_picture_is_drawn_under_the_boxes(page):
    for layer in find(page, f"{WORST} input[type=checkbox]"):
        if layer.is_selected():
            layer.click()
    assert boxes(page, WORST) == 0
    assert pixels(one(page, f"{WORST} svg")).std() > 10


def test_fused_box_shows_its_sources(page, reports):
    set_slider(page, f"{FUSION} input.score", 0.05)
    after = f"{FUSION} .stage:nth-child(2) rect.box[tabindex]"
    chosen = find(page, after)[0]
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", chosen)
    chosen.send_keys(Keys.ENTER)
    rows = find(page, f"{FUSION} table.sources tbody tr")
    highlighted = find(page, f"{FUSION} .stage:nth-child(1) rect.box.chosen")
    assert len(rows) == len(highlighted) >= 1
    file = reports["space"].work / "ensemble" / "val.sources.parquet"
    scores = {round(score, 3) for score in pq.read_table(file).column("score").to_pylist()}
    members = {"tood_dcn/fold3", "yolox/fold3", "retinanet/fold3"}
    for row in rows:
        member, score, _ = (cell.text for cell in row.find_elements(By.TAG_NAME, "td"))
        assert member in members
        assert float(score) in scores
    find(page, after)[0].send_keys(Keys.ENTER)
    assert find(page, f"{FUSION} table.sources") == []


def test_only_the_best_member_is_shown_before_fusion(page, reports):
    on = [box for box in find(page, f"{FUSION} input[type=checkbox]") if box.is_selected()]
    assert [box.get_attribute("data-layer") for box in on][:2] == ["truth", "fusion"]
    assert len(on) == 3
    # Sources of a chosen box are drawn even when their member is switched off.
    on[2].click()
    set_slider(page, f"{FUSION} input.score", 0.05)
    before = f"{FUSION} .stage:nth-child(1) rect.box"
    truth = len(find(page, f"{FUSION} .stage:nth-child(1) text[data-side=below]"))
    assert len(find(page, before)) == truth
    chosen = find(page, f"{FUSION} .stage:nth-child(2) rect.box[tabindex]")[0]
    chosen.send_keys(Keys.ENTER)
    assert len(find(page, before)) == truth + len(find(page, f"{FUSION} table.sources tbody tr"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_numbers_in_the_matrix_can_be_read(browser, reports, scheme):
    open_page(browser, reports["full"], scheme=scheme)
    script = """
      const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
      const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
        .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
      const card = rgb(getComputedStyle(document.querySelector("section")).backgroundColor);
      return [...document.querySelectorAll("#confusion-matrix button:enabled")].map((button) => {
        const style = getComputedStyle(button), [r, g, b, a = 1] = rgb(style.backgroundColor);
        const back = [r, g, b].map((v, i) => a * v + (1 - a) * card[i]);
        const pair = [light(back), light(rgb(style.color))].sort((x, y) => x - y);
        return (pair[1] + 0.05) / (pair[0] + 0.05);
      });
    """
    contrasts = browser.execute_script(script)
    assert contrasts and min(contrasts) >= 4.5  # WCAG AA


def test_experiment_tables_and_commands_are_there(page):
    text = one(page, "#experiments").text
    assert "mosaic_smoke-mosaic against mosaic_smoke-base" in text
    assert "Factors that differ: augment.mosaic" in text
    assert "at equal epochs (3) and at equal training time (30 s)" in text
    record = one(page, "#record")
    record.find_elements(By.TAG_NAME, "summary")[0].click()
    assert "python -m models train" in record.text
