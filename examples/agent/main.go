// Agent sends a small program in place of itself: the functions of package work, without the
// parts that only the master needs. The images of that program are made before this one is
// built, and are embedded:
//
//	go generate ./examples/agent
//	go run ./examples/agent -host web1 -user deploy
//
// Without them it sends itself.
package main

import (
	"context"
	"embed"
	"flag"
	"fmt"
	"io/fs"
	"log"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/connect/ssh"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/examples/agent/work"
)

//go:generate go run github.com/mitosis-go/mitosis/cmd/pack -o images -systems linux/amd64,linux/arm64 ./agent

//go:embed images
var files embed.FS

func main() {
	contexts.Init()
	host := flag.String("host", "", "host to connect to by ssh; empty is a shell here")
	user := flag.String("user", "", "user to log in as")
	flag.Parse()
	log.SetFlags(0)
	if err := run(context.Background(), *host, *user); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, host, user string) error {
	images, err := fs.Sub(files, "images")
	if err != nil {
		return err
	}
	self, err := contexts.Start(ctx, &contexts.Config{Images: images})
	if err != nil {
		return err
	}
	defer self.Close()

	var hop connect.Method = local.Exec{Name: "shell", Argv: []string{"env"}}
	if host != "" {
		hop = ssh.Login{Host: host, User: user}
	}
	far, err := self.Connect(ctx, hop)
	if err != nil {
		return err
	}
	report, err := work.Look.Call(ctx, far, struct{}{})
	if err != nil {
		return err
	}
	fmt.Printf("%v: %s runs a program of %d bytes\n", far, report.Hostname, report.Size)
	return self.Close()
}
