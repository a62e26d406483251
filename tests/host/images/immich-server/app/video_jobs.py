"""Videos are encoded by ffmpeg, with a card if the configuration names a way to."""

import os
import subprocess

import config
from jobs import job
from log import Log

LOG = Log("Microservices:MediaService")
REPOSITORY_LOG = Log("Microservices:MediaRepository")


def list_devices():
    try:
        return os.listdir("/dev/dri")
    except OSError:
        LOG.debug("No devices found in /dev/dri.")
        return []


DEVICES = list_devices()  # what was there at the start, as Immich remembers it


def device(ffmpeg):
    """Which one the configuration means; a refusal fails the job, since only a failure of ffmpeg falls back to software."""
    wanted = ffmpeg["preferredHwDevice"]
    if wanted == "auto":
        if not DEVICES:
            raise OSError("No /dev/dri devices found. If using Docker, make sure at least one /dev/dri device is mounted")
        return "/dev/dri/" + max(name for name in DEVICES if name.startswith(("renderD", "card")))
    name = wanted.replace("/dev/dri/", "")
    if name not in DEVICES:
        raise OSError(f"Device '{name}' does not exist. If using Docker, make sure this device is mounted")
    return f"/dev/dri/{name}"


def command(ffmpeg):
    """The options before the input, and the encoder."""
    accel, codec = ffmpeg["accel"], ffmpeg["targetVideoCodec"]
    if accel == "disabled":
        return [], codec
    if accel == "nvenc":
        before = ["-init_hw_device", "cuda=cuda:0", "-filter_hw_device", "cuda"]
        decode = ["-hwaccel", "cuda", "-hwaccel_output_format", "cuda", "-noautorotate", "-threads", "1"]
    elif accel == "qsv":
        before = ["-init_hw_device", f"qsv=hw,child_device={device(ffmpeg)}", "-filter_hw_device", "hw"]
        decode = ["-hwaccel", "qsv", "-hwaccel_output_format", "qsv", "-async_depth", "4", "-qsv_device", device(ffmpeg)]
    elif accel == "vaapi":
        before = ["-init_hw_device", f"vaapi=accel:{device(ffmpeg)}", "-filter_hw_device", "accel"]
        decode = ["-hwaccel", "vaapi", "-hwaccel_output_format", "vaapi", "-hwaccel_device", device(ffmpeg), "-threads", "1"]
    else:
        raise OSError(f"{accel.upper()} acceleration is unsupported by the stand-in")
    return decode if ffmpeg["accelDecode"] else before, f"{codec}_{accel}"


def transcode(source, target, made):
    before, encoder = made
    arguments = ["ffmpeg", *before, "-i", source, "-y", "-c:v", encoder, "-c:a", "copy", "-movflags", "faststart", "-v", "verbose", target]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if done.returncode:
        REPOSITORY_LOG.error(done.stderr)
        # of what ffmpeg has said, its last lines, without those of its parts
        last = done.stderr.splitlines()
        while any(line.startswith((" ", "[")) for line in last):
            last.pop(0)
        raise OSError(f"ffmpeg exited with code {done.returncode}: " + "\n".join(last) + "\n")


def encoded_path(app, found):
    return app.media.shard("encoded-video", found["ownerId"], found["id"], ".mp4")


@job("AssetEncodeVideoQueueAll")
def all_videos(app, force=False):
    for found in app.database.rows("""SELECT id, "ownerId" FROM asset WHERE "deletedAt" IS NULL AND type = 'VIDEO'"""):
        if force or not os.path.exists(encoded_path(app, found)):
            app.queues.add("videoConversion", "AssetEncodeVideo", id=found["id"])


@job("AssetEncodeVideo")
def video(app, id):
    found = app.database.row("SELECT * FROM asset WHERE id = %s", id)
    ffmpeg = config.load(app)["ffmpeg"]
    if not found or ffmpeg["transcode"] == "disabled":
        return
    source, target = found["originalPath"], encoded_path(app, found)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    made, name = command(ffmpeg), ffmpeg["accel"].upper()
    if ffmpeg["accel"] == "disabled":
        LOG.log(f"Transcoding video {id} without hardware acceleration")
    else:
        decoding = "" if ffmpeg["accelDecode"] else " software"
        LOG.log(f"Transcoding video {id} with {name}-accelerated encoding and{decoding} decoding")
    tries = [(None, made)]
    if ffmpeg["accel"] != "disabled":
        if ffmpeg["accelDecode"]:
            tries.append((f"Retrying with {name}-accelerated encoding and software decoding", command({**ffmpeg, "accelDecode": False})))
        tries.append((f"Retrying with {name} acceleration disabled", command({**ffmpeg, "accel": "disabled"})))
    for number, (words, made) in enumerate(tries, 1):
        if words:
            LOG.error(words)
        try:
            transcode(source, target, made)
            break
        except OSError as error:
            if number == len(tries) > 1:
                raise
            LOG.error(f"Error occurred during transcoding: {error}")
            if number == len(tries):
                return
    LOG.log(f"Successfully encoded {id}")
