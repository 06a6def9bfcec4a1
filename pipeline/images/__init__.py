"""Photos instead of video: reading, drawing and writing for `tallycam image`."""
