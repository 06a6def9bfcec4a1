# %% [markdown]
# Look closer at single events, cell by cell (VS Code, PyCharm and Jupytext run this file as a notebook).

# %%
import pipeline

SOURCE = "synthetic:11"  # a rendered street; a video, a folder of images or a camera does as well
ZONE = {"points": [[0.3, 0.4], [0.7, 0.4], [0.7, 1.0], [0.3, 1.0]]}
CONFIG = {"streams": {"street": {"fps": 5, "stop_s": 6, "zones": {"middle": ZONE}}}}

# %%
frames = list(pipeline.open(SOURCE, CONFIG))  # keeps every frame: for short clips
print(f"{len(frames)} frames, {frames[-1].totals['unique']}")

# %% The events, and the frame of the first one with masks, trails and counts drawn
events = [(frame, event) for frame in frames for event in frame.events if event.kind == "zone"]
for _, event in events:
    print(f"{event.pts_s:5.2f} s  {event.class_name:8} {event.track:3}  {event.direction}")
picture = events[0][0].annotated if events else frames[-1].annotated  # (H, W, 3) uint8 RGB, for plt.imshow

# %% Where every object was, as rows for a data frame
rows = [
    {"time_s": frame.pts_s, "object": number, "class": name, "x_px": x, "y_px": y}
    for frame in frames
    for number, name, (x, y) in zip(
        frame.tracks.ids, frame.tracks.class_names, frame.tracks.feet_px, strict=True
    )
]
print(f"{len(rows)} rows; the last one: {rows[-1]}")
