"""Photos instead of video: what `tallycam image` finds, reads, draws and writes."""
