// Package all makes every method of the house known to a program: to contexts that
// are to open a hop for others, and to hop paths. It is imported for that effect only:
//
//	import _ "github.com/mitosis-go/mitosis/connect/all"
//
// It is for programs that take hop paths from people, as the command line does. Others
// import the methods that they use, since copies carry what a program imports: the ssh
// client alone is a sixth of an image.
package all

import (
	_ "github.com/mitosis-go/mitosis/connect/become"
	_ "github.com/mitosis-go/mitosis/connect/console"
	_ "github.com/mitosis-go/mitosis/connect/container"
	_ "github.com/mitosis-go/mitosis/connect/local"
	_ "github.com/mitosis-go/mitosis/connect/openssh"
	_ "github.com/mitosis-go/mitosis/connect/ssh"
)
