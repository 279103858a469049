// A new version of the pages waits until nobody is in the middle of a sale.

/** Tell whether a newer version has been fetched and waits. */
export async function updateWaits() {
  const registration = await navigator.serviceWorker?.getRegistration()
  return Boolean(registration?.waiting)
}

/** Let a newer version that waits take over and load it, or look for one. Records stay: it reads the same outbox. */
export async function takeUpdate() {
  const registration = await navigator.serviceWorker?.getRegistration()
  if (!registration?.waiting) return void registration?.update().catch(() => undefined)
  navigator.serviceWorker.addEventListener('controllerchange', () => location.reload(), { once: true })
  registration.waiting.postMessage('take over')
}
