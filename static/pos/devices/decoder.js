// Runs in a worker: reads QR codes from frames with zxing-wasm, which is fetched from here and
// nowhere else. The first message has the address of the library; each later one is a frame.

/** @type {Promise<typeof import('zxing-wasm/reader')> | undefined} */
let library

const OPTIONS = /** @type {import('zxing-wasm/reader').ReaderOptions} */ ({
  formats: ['QRCode'],
  tryHarder: true,
  maxNumberOfSymbols: 1,
})

self.onmessage = async ({ data }) => {
  if (data.reader) library = load(data.reader, data.wasm)
  else self.postMessage(await answer(data.frame))
}

/**
 * @param {ImageData} frame
 * @returns {Promise<{text: string, failed: boolean}>}
 */
async function answer(frame) {
  try {
    return { text: await read(frame), failed: false }
  } catch {
    return { text: '', failed: true } // the library did not load: scanner and typed number remain
  }
}

/**
 * @param {string} reader
 * @param {string} wasm
 */
async function load(reader, wasm) {
  /** @type {typeof import('zxing-wasm/reader')} */
  const zxing = await import(reader)
  zxing.prepareZXingModule({ overrides: { locateFile: () => wasm } })
  return zxing
}

/** @param {ImageData} frame */
async function read(frame) {
  const zxing = await library
  const [found] = zxing ? await zxing.readBarcodes(frame, OPTIONS) : []
  return found?.isValid ? found.text : ''
}
