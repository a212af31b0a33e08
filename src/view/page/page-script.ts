// The page's script begins here.

document.documentElement.classList.add('with-script');

import 'uplot';
