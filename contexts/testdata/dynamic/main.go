// Dynamic goes over one hop, a command that is its arguments, and prints whether the
// program there, and that in a child of it, is static or dynamic.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/container"
	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/contexts"
)

// loads tells which libraries the process there has mapped.
var loads = contexts.NewFunc("dynamic.loads", func(context.Context, struct{}) (string, error) {
	maps, err := os.ReadFile("/proc/self/maps")
	if strings.Contains(string(maps), ".so") {
		return "dynamic", err
	}
	return "static", err
})

func main() {
	contexts.Init()
	noBuild := flag.Bool("nobuild", false, "build nothing")
	method := flag.String("method", "", "the only one allowed")
	twice := flag.Bool("twice", false, "go a second time, when the far side is known")
	flag.Parse()
	// The resolver of package net is what has most programs linked to the C library.
	_, _ = net.LookupHost("localhost")
	cfg := &contexts.Config{NoBuild: *noBuild, Log: slog.New(slog.NewTextHandler(os.Stderr, nil))}
	if *method != "" {
		cfg.StartMethods = []string{*method}
	}
	for range 2 { // the warning comes once
		if err := run(cfg, *twice); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

func run(cfg *contexts.Config, twice bool) error {
	ctx := context.Background()
	self, err := contexts.Start(ctx, cfg)
	if err != nil {
		return err
	}
	defer self.Close()
	for range map[bool]int{false: 1, true: 2}[twice] {
		far, err := self.Connect(ctx, hop())
		if err != nil {
			return err
		}
		there, err := loads.Call(ctx, far, struct{}{})
		if err != nil {
			return err
		}
		// A child there needs no other image, wherever it is started.
		again, err := far.Connect(ctx, local.Exec{Argv: []string{"env"}})
		if err != nil {
			return err
		}
		below, err := loads.Call(ctx, again, struct{}{})
		if err != nil {
			return err
		}
		fmt.Println(there, below)
		if err := far.Close(); err != nil {
			return err
		}
	}
	return nil
}

// hop is a command, or a chroot, which is on this host.
func hop() connect.Method {
	if flag.Arg(0) == "chroot" && flag.NArg() == 2 {
		return container.Chroot{Dir: flag.Arg(1)}
	}
	return local.Exec{Argv: flag.Args()}
}
