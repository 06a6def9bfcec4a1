"""Where tracked frames and count events go: the video, the live picture, the database, sinks of other packages."""
