// The application form: a portrait by the desk's camera, and a card reader that types and ends with Enter.

const WIDTH = 480
const HEIGHT = 640

/** @param {HTMLElement} box @param {HTMLInputElement} input */
function portrait(box, input) {
  const start = box.querySelector("[data-camera-start]")
  const take = box.querySelector("[data-camera-take]")
  const said = box.querySelector("[data-camera-said]")
  const video = box.querySelector("video")
  const canvas = box.querySelector("canvas")
  if (!(start instanceof HTMLButtonElement && take instanceof HTMLButtonElement && said && video && canvas)) return
  box.hidden = false

  const stop = () => {
    if (video.srcObject instanceof MediaStream) for (const track of video.srcObject.getTracks()) track.stop()
    video.srcObject = null
    video.hidden = take.hidden = true
  }

  start.addEventListener("click", async () => {
    said.textContent = ""
    try {
      video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { width: 1280, height: 960 }, audio: false })
    } catch {
      said.textContent = "打不开摄像头：请检查摄像头和浏览器权限，或选择照片文件，也可以不照。"
      return
    }
    video.hidden = take.hidden = false
    canvas.hidden = true
    await video.play()
  })

  take.addEventListener("click", () => {
    // the middle of the picture, as tall as it is, in the portrait's shape
    const width = Math.min(video.videoWidth, (video.videoHeight * WIDTH) / HEIGHT)
    const left = (video.videoWidth - width) / 2
    canvas.getContext("2d")?.drawImage(video, left, 0, width, video.videoHeight, 0, 0, WIDTH, HEIGHT)
    canvas.toBlob(
      (blob) => {
        if (!blob) return
        const files = new DataTransfer()
        files.items.add(new File([blob], "photo.jpg", { type: "image/jpeg" }))
        input.files = files.files
        canvas.hidden = false
        said.textContent = "已拍下。不满意可以再拍。"
        stop()
      },
      "image/jpeg",
      0.85,
    )
  })

  addEventListener("pagehide", stop)
}

/** A reader types a field and Enter: that goes to the next field instead of sending half a form. @param {HTMLFormElement} form */
function readerTypes(form) {
  form.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.target instanceof HTMLInputElement)) return
    event.preventDefault()
    const fields = [...form.elements].filter(
      (each) => (each instanceof HTMLInputElement && each.type !== "hidden") || each instanceof HTMLSelectElement,
    )
    const next = fields[fields.indexOf(event.target) + 1]
    if (next instanceof HTMLElement) next.focus()
  })
}

const form = document.querySelector("form.application")
const box = document.querySelector("[data-camera]")
const input = document.querySelector("#photo")
if (form instanceof HTMLFormElement) readerTypes(form)
if (box instanceof HTMLElement && input instanceof HTMLInputElement && navigator.mediaDevices) portrait(box, input)
