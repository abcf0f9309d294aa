// Package mitosis is the front door of the module: it documents where things are, and
// has the version. Programs import the packages below it.
//
// A Go program that uses mitosis starts copies of itself on other hosts, under other
// accounts and in containers, over ssh, sudo and other tools. The copies are called
// contexts. They form a tree, and typed functions of the program can be called in each of them.
// Nothing is installed at the far side.
//
// # Packages for programs
//
//   - [github.com/mitosis-go/mitosis/contexts]: start here. It makes the tree, calls functions, runs
//     commands, forwards connections.
//   - [github.com/mitosis-go/mitosis/connect]: what a hop is, and the errors of connecting; the hops are
//     packages below it, such as connect/ssh, connect/become and connect/container.
//   - [github.com/mitosis-go/mitosis/contexts/files]: copies files and trees, and opens a context's file system.
//   - [github.com/mitosis-go/mitosis/contexts/attach]: lets other processes join a tree, and a context outlive its master.
//   - [github.com/mitosis-go/mitosis/contexts/sftp]: the SFTP protocol over a context.
//   - [github.com/mitosis-go/mitosis/contexts/socks]: a SOCKS server that connects from a context.
//   - [github.com/mitosis-go/mitosis/contexts/pool]: lends connections to the parts of a program, with bounds and in order.
//   - [github.com/mitosis-go/mitosis/contexts/fleet]: works on many hosts: sets of names, groups, policies, results that fold.
//     Inventories and the journal of a run are packages below it.
//   - [github.com/mitosis-go/mitosis/contexts/facts]: tells what a host is.
//   - [github.com/mitosis-go/mitosis/fakessh]: runs local tools, such as rsync and git, whose ssh leads to a context.
//
// # Packages for who works on mitosis
//
//   - [github.com/mitosis-go/mitosis/core]: what a frame is, how values and errors are encoded.
//   - [github.com/mitosis-go/mitosis/router]: moves frames between contexts, and refuses those that nobody allowed.
//   - [github.com/mitosis-go/mitosis/bootstrap]: brings a copy to the far end of a pipe, and ends it.
//
// The command line is cmd/mitosis. docs/architecture.md maps the code, README.md has a complete program, and
// the directory examples has more of them.
package mitosis
