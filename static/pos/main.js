// Start of the tablet's page: opens the store and connects the devices to the screens.

import { Camera } from './devices/camera.js'
import { wakeSounds } from './devices/sounds.js'
import { askToKeep } from './devices/storage.js'
import { listen } from './devices/wedge.js'
import { App } from './screens/app.js'
import { counter } from './screens/counter.js'
import { closeDialogs } from './screens/dialogs.js'
import { acts } from './screens/dom.js'
import { enrol } from './screens/enrol.js'
import { recent } from './screens/recent.js'
import { status } from './screens/status.js'
import { takeUpdate } from './screens/update.js'
import { who } from './screens/who.js'
import { openStore } from './store/db.js'

const TICK = 20_000

async function main() {
  const { worker = '', reader = '', wasm = '', sw = '', scope = '' } = document.body.dataset
  const insecure = document.getElementById('insecure')
  if (insecure) insecure.hidden = isSecureContext
  if (!isSecureContext) return

  if (navigator.serviceWorker) {
    navigator.serviceWorker.register(sw, { scope, updateViaCache: 'none' }).catch(() => undefined)
  }
  const app = new App(await openStore(), new Camera({ worker, reader, wasm }))
  app.screens = { enrol, who: takingUpdates(who), counter, recent, status }
  app.camera.heard = (text) => app.scanned(text, 'camera')
  listen((text) => app.scanned(text, 'wedge'))
  document.addEventListener('pointerdown', () => {
    wakeSounds()
    app.touch()
  })
  bindBar(app)
  stayHere(app)
  setInterval(() => app.tick(), TICK)
  void askToKeep()
  await app.start()
}

/** @param {App} app */
function bindBar(app) {
  const bar = document.getElementById('bar')
  if (!bar) return
  acts(bar, {
    counter: () => app.back(),
    recent: () => app.go('recent'),
    status: () => app.go('status'),
    leave: () => app.end(),
  })
}

/**
 * Keep the back button within the page: it leads to the counter, never away from an unpaid sale.
 * @param {App} app
 */
function stayHere(app) {
  if (history.state !== 'here') history.pushState('here', '')
  addEventListener('popstate', () => {
    history.pushState('here', '')
    if (!closeDialogs()) void app.back()
  })
}

/**
 * Load a newer version while nobody is at the counter.
 * @param {import('./screens/app.js').MakeScreen} make
 * @returns {import('./screens/app.js').MakeScreen}
 */
const takingUpdates = (make) => (app) => {
  void takeUpdate()
  return make(app)
}

main().catch((error) => {
  console.error(error)
  const notice = document.getElementById('notice')
  if (!notice) return
  notice.hidden = false
  notice.textContent = '本机不能保存记录，现在不要收款。请退出无痕模式或更换浏览器，再打开本页。'
})
