package connect

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
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
// "" if there is none, without brackets and escapes, and returns the method. If that is a
// [WordMethod], its options are read next. Call RegisterSyntax from an init function. It panics
// if the name is taken or has a character that separates elements.
func RegisterSyntax(name string, parse func(arg string) (Method, error)) {
	if name == "" || strings.ContainsAny(name, "/,:@ ?&=#%[]") {
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
// Each hop is the word of a method, for most a colon and its target, and where wanted a
// question mark and options with ampersands between them:
//
//	method:target?option=value&flag
//
//	ssh:[JUMP,...][USER@]HOST[:PORT]   and so openssh
//	sudo[:USER]              su[:USER]   doas[:USER]
//	local                    unshare
//	docker:CONTAINER         and so podman, buildah, lxc
//	docker:IMAGE?run         and so podman
//	lxd:INSTANCE             incus:INSTANCE
//	jail:JAIL                machinectl:MACHINE
//	chroot:[DIRECTORY]       with these brackets
//	kubectl:POD[:CONTAINER][@NAMESPACE]
//	nsenter:PID              nsenter:RUNTIME:CONTAINER, by docker, podman, lxc, machinectl
//	console:[USER@]DEVICE[:BAUD]   console:[USER@]tcp:HOST:PORT
//
// docs/hops.md has all options. Within brackets nothing separates: slashes, commas, question
// marks. So a path stands in brackets, [/dev/serial/by-id/usb-1] or config=[/etc/ssh/other];
// ttyS0 and /dev/ttyS0 need none. %XX is the byte with that number in base 16, %2F a slash. A
// percent sign before anything else stands for itself. No word has a secret.
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
	for i, element := range SplitPath(path) {
		m, err := parseElement(element)
		if err != nil {
			return nil, fmt.Errorf("hop %d, %q: %w", i+1, printable.Name(element), err)
		}
		hops = append(hops, m)
	}
	return hops, nil
}

// FormatPath writes hops as a path that [ParsePath] reads as the same hops, without their
// secrets. The error says which hop can't be written: its method has no word, or it has
// settings that no option of the word says.
func FormatPath(hops []Method) (string, error) {
	words := make([]string, len(hops))
	for i, m := range hops {
		word, err := formatElement(m)
		if err != nil {
			return "", fmt.Errorf("hop %d, %s: %w", i+1, printable.Name(m.Label()), err)
		}
		words[i] = word
	}
	return strings.Join(words, "/"), nil
}

// errNoWord: a hop can't be written as a word.
var errNoWord = fmt.Errorf("%w: no word of a hop path says all of it", errors.ErrUnsupported)

func formatElement(m Method) (string, error) {
	registry.mu.RLock()
	name := registry.byType[reflect.TypeOf(m)]
	registry.mu.RUnlock()
	w := new(Word)
	if method, ok := m.(WordMethod); ok {
		m = method.HopWord(w)
	}
	word := name + w.String()
	again, err := parseElement(word)
	if err != nil {
		return "", fmt.Errorf("%w: %v", errNoWord, err)
	}
	if !reflect.DeepEqual(again, m) || len(SplitPath(word)) != 1 {
		return "", errNoWord
	}
	return word, nil
}

// OptionsOf returns the options that the word of a method has, by name. The last one may be a
// kind of names, in capital letters.
func OptionsOf(m WordMethod) []string {
	w := new(Word)
	m.HopWord(w)
	return w.known
}

// WordNames returns the names with which words of hop paths begin, sorted.
func WordNames() []string {
	syntaxes.mu.RLock()
	defer syntaxes.mu.RUnlock()
	return slices.Sorted(maps.Keys(syntaxes.byName))
}

// SplitPath returns the elements of a path, as [ParsePath] reads them. Slashes within brackets separate nothing, and
// neither do those of /dev/ directly behind a colon or an at sign.
func SplitPath(path string) (elements []string) {
	start, bracket := 0, false
	for i := 0; i < len(path); i++ {
		switch path[i] {
		case '[', ']':
			bracket = path[i] == '['
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

// parseElement reads one hop.
func parseElement(element string) (Method, error) {
	body, options, hasOptions := cutOutside(withoutOrdinal(element), '?')
	name, arg, hasArg := strings.Cut(body, ":")
	syntaxes.mu.RLock()
	parse, ssh := syntaxes.byName[name], syntaxes.byName["ssh"]
	syntaxes.mu.RUnlock()
	if parse == nil {
		if err := notImported(name); err != nil {
			return nil, err
		}
		if ssh == nil {
			return nil, notImported("ssh")
		}
		m, err := parseWord("ssh", ssh, body, options, hasOptions)
		if err != nil && hasArg && !strings.Contains(name, "@") {
			err = fmt.Errorf("%w; it begins with the name of no method (%s) either", err, strings.Join(WordNames(), ", "))
		}
		return m, err
	}
	return parseWord(name, parse, arg, options, hasOptions)
}

// parseWord reads the target and the options of a method.
func parseWord(name string, parse func(string) (Method, error), target, options string, hasOptions bool) (Method, error) {
	isSSH := name == "ssh" || name == "openssh"
	if _, _, comma := cutOutside(target, ','); comma && !isSSH {
		return nil, fmt.Errorf("%w: a comma goes between the hosts of one ssh hop, a slash between hops", ErrBadName)
	}
	if isSSH || name == "console" {
		target = unescape(target) // these give brackets a meaning of their own
	} else {
		var err error
		if target, err = withoutBrackets(target); err != nil {
			return nil, err
		}
	}
	m, err := parse(target)
	if err != nil {
		return nil, err
	}
	w := &Word{reading: true}
	if hasOptions {
		if w.options, err = readOptions(options); err != nil {
			return nil, err
		}
	}
	if method, ok := m.(WordMethod); ok {
		m = method.HopWord(w)
	}
	return m, w.finish(name)
}

// readOptions reads what stands behind the question mark.
func readOptions(text string) ([]wordOption, error) {
	var options []wordOption
	for _, part := range splitOutside(text, '&') {
		var o wordOption
		var value string
		var err error
		o.key, value, o.hasValue = cutOutside(part, '=')
		if o.key, err = withoutBrackets(o.key); err == nil {
			o.value, err = withoutBrackets(value)
		}
		if err != nil {
			return nil, err
		}
		if o.key == "" {
			return nil, fmt.Errorf("%w: an option has no name: %q", ErrBadName, printable.Name(text))
		}
		options = append(options, o)
	}
	return options, nil
}
