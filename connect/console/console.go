// Package console makes connect.Console known to a program: to contexts that are to
// open one for others, and to hop paths ("console:ttyS0"). It is imported for
// that effect only, in every copy of the program:
//
//	import _ "github.com/mitosis-go/mitosis/connect/console"
//
// All other methods are known to every program. This one is large, and on the
// lines for which it is there every kilobyte of an image counts.
package console

import "github.com/mitosis-go/mitosis/connect"

func init() {
	connect.Register[connect.Console]("console")
	connect.RegisterSyntax("console", connect.ParseConsole)
}
