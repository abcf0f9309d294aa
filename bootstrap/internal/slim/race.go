//go:build race

package slim

const raceBuild = true
