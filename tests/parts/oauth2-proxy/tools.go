//go:build tools

// Package tools names the command that the tests build, so that `go mod tidy` keeps what it needs.
package tools

import _ "github.com/oauth2-proxy/oauth2-proxy/v7"
