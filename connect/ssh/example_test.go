package ssh_test

import (
	"fmt"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/ssh"
)

// A hop is a value. Its label is the name of the hop in paths, errors and logs.
func ExampleLogin() {
	web := ssh.Login{
		Host:      "10.0.0.5",
		User:      "deploy",
		ProxyJump: []ssh.Login{{Host: "bastion.example", User: "ops"}},
		HostKeys:  connect.HostKeysAcceptNew,
	}
	fmt.Println(web.Label())
	// Output: ssh:ops@bastion.example,deploy@10.0.0.5
}
