package main

import (
	"embed"
	"io/fs"

	_ "github.com/mitosis-go/mitosis/cmd/internal/functions"
)

// agentFiles are the images of cmd/agent, if command pack has made them before this program was
// built.
//
//go:embed agents
var agentFiles embed.FS

// agents are the images that hosts get in place of this program. Hosts of other systems get
// this program, or one that is built for them.
func agents() fs.FS {
	dir, err := fs.Sub(agentFiles, "agents")
	if err != nil {
		panic(err) // the name is valid
	}
	return dir
}
