// Package conventions holds the tests that compare the documentation and the source tree
// with the rules of the project.
package conventions
