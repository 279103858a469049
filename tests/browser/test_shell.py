"""The shell: storage, connection, and working without a network (P35, P36)."""

import pytest
from playwright.sync_api import Route, expect

from canteen.auth import tablets
from canteen.config import ROOT
from tests.browser.conftest import OpenTill, Shop
from tests.browser.tills import Till
from tests.rigs.browsers import OpenPage

pytestmark = pytest.mark.browser

LEFT_WHILE_STARTING = """
async () => {
  const { Camera } = await import('/static/pos/devices/camera.js')
  const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
  const tracks = []
  navigator.mediaDevices.getUserMedia = async () => {
    await pause(50)
    const stream = document.createElement('canvas').captureStream()
    tracks.push(...stream.getTracks())
    return stream
  }
  const camera = new Camera({ worker: '/pos/decoder.js', reader: '', wasm: '' })
  camera.start()
  camera.stop()
  camera.start()
  await pause(1000)
  camera.stop()
  return tracks.map(({ readyState }) => readyState)
}
"""
READY = "() => navigator.serviceWorker.ready.then((registration) => registration.active.state)"


def test_once_loaded_the_page_opens_without_a_server(shop: Shop, open_till: OpenTill) -> None:
    till = open_till(service_workers="allow")
    till.page.evaluate(READY)
    shop.server.kill()
    till.open()
    till.at_the_counter()
    expect(till.page.locator("#bar [data-slot=line]")).to_have_text("网络不通，暂不能查卡")


def test_nothing_of_the_api_is_kept_for_offline(open_till: OpenTill) -> None:
    till = open_till(service_workers="allow")
    till.page.evaluate(READY)
    kept = till.page.evaluate(
        "async () => (await Promise.all((await caches.keys()).map(async (name) =>"
        " (await (await caches.open(name)).keys()).map((request) => new URL(request.url).pathname)))).flat()"
    )
    assert "/pos" in kept
    assert [path for path in kept if path.startswith("/api/")] == []
    assert [path for path in kept if path.endswith(".wasm")] != []


def test_enrolment_with_a_lost_answer_succeeds_after_a_reload(shop: Shop, open_page: OpenPage) -> None:
    page, code = open_page(service_workers="block"), shop.code()

    def swallow(route: Route) -> None:
        route.fetch()
        route.abort()

    till = Till(page, shop.server.url)
    page.route("**/api/v1/pos/tablets", swallow)
    till.open()
    till.press("#screen", code)
    page.click("#screen .primary")
    till.sees("网络不通")
    page.unroute("**/api/v1/pos/tablets")
    till.let_in(code)
    assert shop.rows("SELECT count(*) FROM tablet WHERE id <> 't1'") == [(1,)]


def test_nothing_is_asked_of_any_other_host(shop: Shop, open_page: OpenPage) -> None:
    page = open_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    till = Till(page, shop.server.url)
    till.let_in(shop.code())
    till.log_in()
    till.page.click("text=设备状态")
    assert [url for url in asked if not url.startswith((shop.server.url, "data:", "blob:"))] == []


def test_the_key_cannot_be_taken_out_of_the_tablet(till: Till) -> None:
    taken = till.page.evaluate(
        """() => new Promise((resolve) => {
          const opening = indexedDB.open('canteen-pos')
          opening.onsuccess = () => {
            const asked = opening.result.transaction('settings').objectStore('settings').get('device')
            asked.onsuccess = async () => {
              const { privateKey } = asked.result.keys
              const out = await crypto.subtle.exportKey('pkcs8', privateKey).catch((error) => error.name)
              resolve([privateKey.extractable, out])
            }
          }
        })"""
    )
    assert taken == [False, "InvalidAccessError"]


def test_status_screen_shows_storage_line_count_and_clock(till: Till) -> None:
    till.page.click("text=设备状态")
    facts = till.page.locator(".facts")
    for words in ("待上传", "全部已上传", "记录保存", "长期保存", "剩余空间", "安全连接", "平板时钟"):
        expect(facts).to_contain_text(words)


def test_a_camera_left_while_it_starts_is_given_back(shop: Shop, open_page: OpenPage) -> None:
    page = open_page()
    page.goto(f"{shop.server.url}/pos")
    assert page.evaluate(LEFT_WHILE_STARTING) == ["ended", "ended"]


def test_insecure_address_says_so_and_sells_nothing(shop: Shop, open_page: OpenPage) -> None:
    page = open_page()
    page.add_init_script("Object.defineProperty(window, 'isSecureContext', {get: () => false})")
    page.goto(f"{shop.server.url}/pos")
    expect(page.locator("#insecure")).to_be_visible()
    assert page.locator("button:visible").count() == 0


def test_a_browser_that_keeps_nothing_says_so_and_sells_nothing(shop: Shop, open_page: OpenPage) -> None:
    page = open_page()
    page.add_init_script("indexedDB.open = () => { throw new DOMException('not here', 'SecurityError') }")
    page.goto(f"{shop.server.url}/pos")
    expect(page.locator("#notice")).to_contain_text("本机不能保存记录")
    assert page.locator("button:visible").count() == 0


def test_revoked_tablet_sends_its_sales_and_may_enrol_again(shop: Shop, open_till: OpenTill) -> None:
    till = open_till()
    till.scan(shop.grandma)
    till.due("7.00 元")
    till.cut()
    till.pay()
    till.unsent(1)
    [(tablet,)] = shop.rows("SELECT id FROM tablet WHERE id <> 't1'")
    with shop.inside():
        tablets.revoke(str(tablet), by="p-admin", reason="lost")
    till.mend()
    expect(till.page.locator("#notice")).to_contain_text("已被停用")
    till.sent()
    assert [row["state"] for row in till.outbox()] == ["quarantined"]
    assert (shop.count("record"), shop.count("sale")) == (1, 0)
    till.scan(shop.grandpa)
    expect(till.page.locator(".tender")).to_have_count(0)

    till.page.click("#screen >> text=设备状态")
    till.sees("待人工核对")
    till.page.click("#screen >> text=返回")
    till.page.click("text=重新启用这台平板")
    till.sees("请向管理员索取")
    till.let_in(shop.code())
    till.log_in()
    till.scan(shop.grandma)
    till.due("7.00 元")
    till.pay()
    till.sent()
    assert sorted((row["number"], row["state"]) for row in till.outbox()) == [(1, "quarantined"), (1, "settled")]


@pytest.mark.parametrize(
    "viewport", [{"width": 1280, "height": 800}, {"width": 800, "height": 1280}], ids=["lying", "upright"]
)
def test_buttons_are_large_and_the_usual_sale_needs_no_scrolling(
    shop: Shop, open_till: OpenTill, viewport: dict[str, int]
) -> None:
    till = open_till(viewport=viewport)
    till.scan(shop.grandma)
    till.due("7.00 元")
    sizes = till.page.evaluate(
        "[...document.querySelectorAll('button')].filter((each) => each.offsetParent)"
        ".map((each) => each.getBoundingClientRect()).map(({width, height, right, bottom}) => ({width, height, right, bottom}))"
    )
    assert min(size["width"] for size in sizes) >= 64
    assert min(size["height"] for size in sizes) >= 64
    assert max(size["right"] for size in sizes) <= viewport["width"]
    assert max(size["bottom"] for size in sizes) <= viewport["height"]
    amount = till.page.evaluate("parseFloat(getComputedStyle(document.querySelector('[data-slot=due]')).fontSize)")
    smallest = till.page.evaluate(
        "Math.min(...[...document.querySelectorAll('body *')].filter((each) => each.offsetParent && each.innerText)"
        ".map((each) => parseFloat(getComputedStyle(each).fontSize)))"
    )
    assert (amount >= 48, smallest >= 20) == (True, True)


AXE = (ROOT / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
FAULTS = """
async () => (await axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag2aaa', 'best-practice']}))
  .violations.map(({id, nodes}) => [id, nodes.map(({html}) => html)])
"""


def test_screens_are_legible_and_accessible_to_screen_readers(shop: Shop, till: Till) -> None:
    """Contrast of 7:1, names of buttons, headings: axe with the strictest set of rules."""
    till.page.evaluate(AXE)

    def faults() -> object:
        return till.page.evaluate(FAULTS)

    assert faults() == []
    till.page.click("button:has-text('输入卡号')")
    assert faults() == []
    till.page.click("dialog >> text=返回")
    till.scan(shop.grandma)
    till.due("7.00 元")
    assert faults() == []
    till.pay()
    till.sent()
    assert faults() == []
    till.page.click("nav >> text=今日记录")
    till.sees("今日记录")
    assert faults() == []
    till.page.click(".sold button")
    assert faults() == []
    till.page.click("dialog >> text=返回")
    till.page.click("nav >> text=设备状态")
    expect(till.page.locator(".facts")).to_contain_text("平板时钟")
    assert faults() == []
    till.page.click("nav >> text=交班")
    till.sees("请选您的姓名")
    assert faults() == []
