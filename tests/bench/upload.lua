-- A megabyte up with each request.
wrk.method = "POST"
wrk.body = string.rep("gangway!", 131072)
