package connect

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/mitosis-go/mitosis/connect/internal/printable"
)

// syntaxes has the parsers of hop path elements, by the names that elements begin with.
var syntaxes struct {
	mu     sync.RWMutex
	byName map[string]func(arg string) (Method, error)
}

// RegisterSyntax gives a method a name in hop paths. parse gets the text behind the colon,
// "" if there is none, and returns the method. The text has no comma, and a slash only in
// the path of a device. Call RegisterSyntax from an init function. It panics if the name is
// taken or has a character that separates elements.
func RegisterSyntax(name string, parse func(arg string) (Method, error)) {
	if name == "" || strings.ContainsAny(name, "/,:@ ") {
		panic(fmt.Sprintf("connect: no method can be called %q in a hop path", name))
	}
	syntaxes.mu.Lock()
	defer syntaxes.mu.Unlock()
	if _, ok := syntaxes.byName[name]; ok {
		panic(fmt.Sprintf("connect: a method is called %q in hop paths already", name))
	}
	if syntaxes.byName == nil {
		syntaxes.byName = make(map[string]func(string) (Method, error))
	}
	syntaxes.byName[name] = parse
}

// ParsePath reads a hop path, as people write it and as errors and logs show it: the hops
// from here to a context, with slashes between them.
//
//	ssh:deploy@web1:2222/sudo:root/local
//
// Each hop is the name of a method and, for most, a colon and its argument:
//
//	ssh:[JUMP,...][USER@]HOST[:PORT]   and so openssh
//	sudo[:USER]              su[:USER]   doas[:USER]
//	local                    unshare
//	docker:CONTAINER         and so podman, buildah, lxc
//	lxd:INSTANCE             incus:INSTANCE
//	jail:JAIL                machinectl:MACHINE
//	kubectl:POD[:CONTAINER][@NAMESPACE]
//	nsenter:PID              nsenter:RUNTIME:CONTAINER, by docker, podman, lxc, machinectl
//	console:[USER@]DEVICE[:BAUD]   console:[USER@]tcp:HOST:PORT
//
// A DEVICE is ttyS0, /dev/ttyS0, or any other path in brackets, within which slashes
// and commas separate nothing: [/dev/serial/by-id/usb-1], [/run/vm.sock].
//
// [RegisterSyntax] adds names. A hop that begins with no known name is an ssh hop. A program
// knows the methods of the packages that it imports; package connect/all imports them all.
//
// A slash between hosts means something else than a comma. In
//
//	ssh:bastion/ssh:web1
//
// the program runs on bastion and connects from there, with the keys, the agent and the
// known_hosts of the user on bastion. In
//
//	ssh:bastion,web1     openssh:bastion,web1     bastion,web1
//
// bastion only passes the connection on, as with `ssh -J bastion web1`. Keys, agent and
// known_hosts are those of the host where the hop starts, and bastion sees ciphertext. There
// may be several jump hosts, each as [USER@]HOST[:PORT].
//
// ParsePath ignores a number sign and a number at the end of a hop. They tell two children
// of one parent apart that were made by the same hop: local and local#2.
//
// Errors: [ErrBadName], and [ErrNoMethod] for a method whose package is not imported.
func ParsePath(path string) ([]Method, error) {
	var hops []Method
	for _, element := range splitPath(path) {
		m, err := parseElement(element)
		if err != nil {
			return nil, fmt.Errorf("hop %q: %w", printable.Name(element), err)
		}
		hops = append(hops, m)
	}
	return hops, nil
}

// splitPath returns the elements of a path. Slashes within brackets separate nothing, and
// neither do those of /dev/ directly behind a colon or an at sign.
func splitPath(path string) (elements []string) {
	start, bracket := 0, false
	for i := 0; i < len(path); i++ {
		switch path[i] {
		case '[', ']':
			bracket = strings.HasPrefix(path[i:], "[/")
		case '/':
			if bracket {
				continue
			}
			if i > start && (path[i-1] == ':' || path[i-1] == '@') && strings.HasPrefix(path[i:], devices) {
				i += len(devices) - 1
				continue
			}
			elements = append(elements, path[start:i])
			start = i + 1
		}
	}
	return append(elements, path[start:])
}

// devices is the directory that serial ports are in.
const devices = "/dev/"

// withoutOrdinal takes "#2" off the end of an element, as the path of a context has it where
// its parent has another child by the same hop.
func withoutOrdinal(element string) string {
	name := strings.TrimRight(element, "0123456789")
	if len(name) == len(element) {
		return element
	}
	name, ok := strings.CutSuffix(name, "#")
	if !ok {
		return element
	}
	return name
}

func parseElement(element string) (Method, error) {
	element = withoutOrdinal(element)
	name, arg, hasArg := strings.Cut(element, ":")
	syntaxes.mu.RLock()
	parse, ssh := syntaxes.byName[name], syntaxes.byName["ssh"]
	names := slices.Sorted(maps.Keys(syntaxes.byName))
	syntaxes.mu.RUnlock()
	if parse != nil {
		if name != "ssh" && name != "openssh" && strings.Contains(withoutBrackets(arg), ",") {
			return nil, fmt.Errorf("%w: a comma goes between the hosts of one ssh hop, a slash between hops", ErrBadName)
		}
		return parse(arg)
	}
	if err := notImported(name); err != nil {
		return nil, err
	}
	var m Method
	err := notImported("ssh")
	if ssh != nil {
		m, err = ssh(element)
	}
	if err != nil && hasArg && !strings.Contains(name, "@") {
		err = fmt.Errorf("%w; it begins with the name of no method (%s) either", err, strings.Join(names, ", "))
	}
	return m, err
}

// withoutBrackets takes out a path in brackets, in which a comma separates nothing.
func withoutBrackets(arg string) string {
	before, rest, found := strings.Cut(arg, "[/")
	if !found {
		return arg
	}
	_, after, _ := strings.Cut(rest, "]")
	return before + after
}
