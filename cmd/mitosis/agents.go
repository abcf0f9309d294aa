package main

import (
	"embed"
	"io/fs"

	_ "github.com/mitosis-go/mitosis/cmd/internal/functions"
)

// agentFiles are what command pack has made of cmd/agent, if that was done before this
// program was built.
//
//go:embed agents
var agentFiles embed.FS

// agents are the images that hosts get in place of this program. A system that is not
// among them gets what this program is, or has built.
func agents() fs.FS {
	dir, err := fs.Sub(agentFiles, "agents")
	if err != nil {
		panic(err) // the name is valid
	}
	return dir
}
