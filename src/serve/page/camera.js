// Takes a picture with the camera. A browser allows that only for this machine's own pages and over HTTPS; elsewhere the
// button is hidden, and phones offer the camera in their file dialog.

import { Failure } from "./server.js";

const dialog = document.getElementById("camera");
const video = document.getElementById("camera-picture");

export function hasCamera() {
  return Boolean(navigator.mediaDevices && navigator.mediaDevices.getUserMedia);
}

function snapshot() {
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d").drawImage(video, 0, 0);
  return new Promise((resolve) => {
    canvas.toBlob((blob) => resolve(new File([blob], "camera.jpg", { type: "image/jpeg" })), "image/jpeg", 0.92);
  });
}

/** A file, or null if the dialog was closed without one. */
export async function takePicture() {
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  } catch {
    throw new Failure("The browser gives no picture of a camera. Allow it, or add a file.");
  }
  video.srcObject = stream;
  await video.play();
  dialog.showModal();
  const taken = await new Promise((resolve) => {
    document.getElementById("take-picture").onclick = async () => resolve(await snapshot());
    document.getElementById("close-camera").onclick = () => resolve(null);
    dialog.onclose = () => resolve(null); // the Escape key
  });
  dialog.onclose = null;
  if (dialog.open) dialog.close();
  for (const track of stream.getTracks()) track.stop();
  video.srcObject = null;
  return taken;
}
