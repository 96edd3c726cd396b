package org.example.classifier

import android.graphics.Bitmap
import android.graphics.ImageDecoder
import android.net.Uri
import android.os.Bundle
import android.widget.Button
import android.widget.ImageView
import android.widget.TextView
import androidx.activity.ComponentActivity
import androidx.activity.result.PickVisualMediaRequest
import androidx.activity.result.contract.ActivityResultContracts.PickVisualMedia
import androidx.lifecycle.lifecycleScope
import com.google.mediapipe.framework.MediaPipeException
import java.io.IOException
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.launch
import kotlinx.coroutines.withContext

/** Choose a picture from the gallery and read what it shows. */
class MainActivity : ComponentActivity() {
    private lateinit var classifier: PictureClassifier

    private val gallery = registerForActivityResult(PickVisualMedia()) { uri -> uri?.let(::show) }

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        setContentView(R.layout.activity_main)
        classifier = PictureClassifier(this)
        findViewById<TextView>(R.id.answer).text = getString(R.string.known, labels(this).joinToString())
        findViewById<Button>(R.id.choose).setOnClickListener {
            gallery.launch(PickVisualMediaRequest(PickVisualMedia.ImageOnly))
        }
    }

    private fun show(uri: Uri) {
        lifecycleScope.launch {
            val answer = findViewById<TextView>(R.id.answer)
            try {
                val (picture, answers) = withContext(Dispatchers.Default) {
                    decode(uri).let { it to classifier.classify(it) }
                }
                findViewById<ImageView>(R.id.picture).setImageBitmap(picture)
                answer.text = answers.joinToString("\n") { "%s  %.1f %%".format(it.label, 100 * it.probability) }
            } catch (error: IOException) {
                answer.text = getString(R.string.failed, error.message)
            } catch (error: MediaPipeException) {
                answer.text = getString(R.string.failed, error.message)
            }
        }
    }

    /** The picture the right way up, no smaller than needed and not much larger. */
    private fun decode(uri: Uri): Bitmap {
        val picture = ImageDecoder.decodeBitmap(ImageDecoder.createSource(contentResolver, uri)) { decoder, info, _ ->
            decoder.allocator = ImageDecoder.ALLOCATOR_SOFTWARE // the classifier reads its pixels
            decoder.setTargetSampleSize(maxOf(1, minOf(info.size.width, info.size.height) / DECODED_SIDE))
        }
        // Pictures of 16 bits are decoded to floats, which MediaPipe does not take.
        return if (picture.config == Bitmap.Config.ARGB_8888) picture else picture.copy(Bitmap.Config.ARGB_8888, false)
    }

    override fun onDestroy() {
        classifier.close()
        super.onDestroy()
    }
}
