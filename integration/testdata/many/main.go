// Command many connects to many hosts at once, prints that it has, and goes on until its
// standard input ends. Tests interrupt it. It is small, so that fifty rounds take little time.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"

	"github.com/mitosis-go/mitosis/connect/ssh"
	"github.com/mitosis-go/mitosis/contexts"
)

var hello = contexts.NewFunc("many.hello", func(context.Context, struct{}) (int, error) { return os.Getpid(), nil })

func main() {
	contexts.Init()
	if err := connectAll(context.Background()); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func connectAll(ctx context.Context) error {
	var orders struct{ All []ssh.Login }
	if err := json.Unmarshal([]byte(os.Getenv("MITOSIS_TEST_ORDERS")), &orders); err != nil {
		return err
	}
	self, err := contexts.Start(ctx, &contexts.Config{PackedDir: os.DevNull})
	if err != nil {
		return err
	}
	defer self.Close()
	errs := make(chan error, len(orders.All))
	var wg sync.WaitGroup
	for _, hop := range orders.All {
		wg.Go(func() {
			n, err := self.Connect(ctx, hop)
			if err == nil {
				_, err = hello.Call(ctx, n, struct{}{})
			}
			if err != nil {
				errs <- err
			}
		})
	}
	wg.Wait()
	select {
	case err := <-errs:
		return err
	default:
	}
	fmt.Println("ready")
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
	return nil
}
